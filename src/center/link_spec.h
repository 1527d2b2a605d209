/* SPDX-License-Identifier: Apache-2.0 */
/* What the manager wants to know of a host: types, and the filter that asks for them. */
#pragma once

#include "base/arena.h"
#include "vim/value.h"

/* Fields of HostConfigManager whose objects are shown by the manager, too; -1 at the end. */
extern const int link_managers[];

/* PropertyFilterSpec; `content` is the host's ServiceContent, `view` a ContainerView of everything
 * below its root folder, `task_view` a ListView of the tasks that are to be told of. */
struct value *link_filter_spec(struct arena *a, const struct value *content,
			       const struct value *view, const struct value *task_view);
