/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "host/qmp.h"

static bool parse_greeting(const struct json_at *root, struct qmp_message *m, struct error *e)
{
	struct json_at qmp, version, capabilities;
	if (!json_get_object(root, "QMP", &qmp, e) ||
	    !json_get_object(&qmp, "version", &version, e) ||
	    !json_get_array(&qmp, "capabilities", &capabilities, e)) {
		return false;
	}
	m->kind = QMP_GREETING;
	m->value = qmp.value;
	return true;
}

static bool parse_event(const struct json_at *root, struct qmp_message *m, struct error *e)
{
	struct json_at data;
	if (!json_get_str(root, "event", &m->name, e)) {
		return false;
	}
	if (json_has(root, "data")) {
		if (!json_get_object(root, "data", &data, e)) {
			return false;
		}
		m->value = data.value;
	}
	m->kind = QMP_EVENT;
	return true;
}

static bool parse_error(const struct json_at *root, struct qmp_message *m, struct error *e)
{
	struct json_at error;
	if (!json_get_object(root, "error", &error, e) ||
	    !json_get_str(&error, "class", &m->name, e) ||
	    !json_get_str(&error, "desc", &m->text, e)) {
		return false;
	}
	m->kind = QMP_ERROR;
	return true;
}

static bool parse_reply(const struct json_at *root, struct qmp_message *m, struct error *e)
{
	struct json_at value;
	if (json_has(root, "error")) {
		if (!parse_error(root, m, e)) {
			return false;
		}
	} else {
		if (!json_get(root, "return", &value, e)) {
			return false;
		}
		m->kind = QMP_RETURN;
		m->value = value.value;
	}
	if (json_has(root, "id")) {
		m->has_id = true;
		return json_get_u64(root, "id", &m->id, e);
	}
	return true;
}

bool qmp_message_parse(const char *line, size_t n, struct qmp_message *out, struct error *e)
{
	struct qmp_message m = { 0 };
	m.root = json_parse(line, n, QMP_LINE_MAX, QMP_DEPTH_MAX, e);
	if (!m.root) {
		return false;
	}
	struct json_at root = json_root(m.root);
	bool ok = json_as_object(&root, e);
	if (ok && json_has(&root, "QMP")) {
		ok = parse_greeting(&root, &m, e);
	} else if (ok && json_has(&root, "event")) {
		ok = parse_event(&root, &m, e);
	} else if (ok) {
		ok = parse_reply(&root, &m, e);
	}
	if (!ok) {
		qmp_message_fini(&m);
		return false;
	}
	*out = m;
	return true;
}

void qmp_message_fini(struct qmp_message *m)
{
	json_object_put(m->root);
	*m = (struct qmp_message){ 0 };
}
