/* SPDX-License-Identifier: Apache-2.0 */
#include "switch/reason.h"

static const struct {
	const char *name, *text;
} reasons[DROP_N] = {
#define X(NAME, word, meaning) [DROP_##NAME] = { word, meaning },
	DROP_REASONS(X)
#undef X
};

const char *drop_reason_name(enum drop_reason r)
{
	return (unsigned)r < DROP_N ? reasons[r].name : "?";
}

const char *drop_reason_text(enum drop_reason r)
{
	return (unsigned)r < DROP_N ? reasons[r].text : "?";
}
