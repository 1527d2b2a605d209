/* SPDX-License-Identifier: Apache-2.0 */
#include "host/cores.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/macro.h"
#include "base/number.h"
#include "host/facts.h"

#define APART_MIN     3	   /* with fewer, VMs would have one processor or none */
#define TWO_MIN	      8	   /* from here on the agent's bursts have a core beside the switch's */
#define STATUS_MAX    8192 /* bytes of /proc/self/status */
#define LIST_MAX      4096
#define PROCESSORS    ((unsigned)CPU_SETSIZE)
#define WANTED_AUTO   "auto"
#define WANTED_NONE   "none"
#define SIBLINGS_PATH "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list"

static void set_from_list(const char *text, cpu_set_t *out)
{
	size_t n;
	unsigned *list = facts_list(text, PROCESSORS, &n);

	CPU_ZERO(out);
	for (size_t i = 0; i < n; i++) {
		CPU_SET(list[i], out);
	}
	free(list);
}

/* ---- what is wanted ---- */

static bool is_number(const char *s)
{
	return s[0] != '\0' && strspn(s, "0123456789") == strlen(s);
}

/* "3" or "3-5" of n bytes; processors that cannot be are refused. */
static bool range_read(const char *s, size_t n, cpu_set_t *out)
{
	size_t first_n = strcspn(s, "-");
	uint64_t first, last;
	bool is_one = first_n >= n;

	if (!number_u64_n(s, is_one ? n : first_n, &first) ||
	    !number_u64_n(is_one ? s : s + first_n + 1, is_one ? n : n - first_n - 1, &last) ||
	    last < first || last >= PROCESSORS) {
		return false;
	}
	for (uint64_t i = first; i <= last; i++) {
		CPU_SET(i, out);
	}
	return true;
}

static bool list_read(const char *text, cpu_set_t *out)
{
	CPU_ZERO(out);
	if (strspn(text, "0123456789,-") != strlen(text)) {
		return false;
	}
	for (const char *s = text;; s++) {
		size_t n = strcspn(s, ",");
		if (n == 0 || !range_read(s, n, out)) {
			return false;
		}
		s += n;
		if (*s == '\0') {
			return true;
		}
	}
}

bool cores_wanted_check(const char *wanted, struct error *e)
{
	cpu_set_t set;
	uint64_t n;

	if (strcmp(wanted, WANTED_AUTO) == 0 || strcmp(wanted, WANTED_NONE) == 0 ||
	    (is_number(wanted) ? number_u64(wanted, &n) && n > 0 && n < PROCESSORS
			       : list_read(wanted, &set))) {
		return true;
	}
	return error_set(e, ERROR_INVALID,
			 "\"%.60s\" is neither auto, none, a number of processors from 1 to %u nor "
			 "a list of them such as 0-1",
			 wanted, PROCESSORS - 1);
}

/* ---- what there is ---- */

static void all(cpu_set_t *out)
{
	for (unsigned i = 0; i < PROCESSORS; i++) {
		CPU_SET(i, out);
	}
}

void cores_own(cpu_set_t *out, const char *root)
{
	struct buf b = BUF_INIT;
	char list[LIST_MAX];

	CPU_ZERO(out);
	if (facts_read(facts_path(root, "/proc/self/status").s, STATUS_MAX, &b) &&
	    facts_field(b.data, "Cpus_allowed_list", list, sizeof(list))) {
		set_from_list(list, out);
	}
	buf_free(&b);
	if (CPU_COUNT(out) == 0) {
		all(out);
	}
}

static void usable(cpu_set_t *out, const struct cores_config *c)
{
	char list[LIST_MAX];
	cpu_set_t online;

	facts_line(facts_path(c->root, "/sys/devices/system/cpu/online").s, list, sizeof(list));
	set_from_list(list, &online);
	CPU_AND(out, c->own, &online);
	if (CPU_COUNT(out) == 0 && sched_getaffinity(0, sizeof(*out), out) != 0) {
		CPU_ZERO(out);
		CPU_SET(0, out);
	}
}

/* The processor and the others of its core, of those that are usable. */
static void add_core(struct cores *p, unsigned cpu, const char *root)
{
	char list[LIST_MAX];
	cpu_set_t siblings;

	facts_line(facts_path(root, SIBLINGS_PATH, cpu).s, list, sizeof(list));
	set_from_list(list, &siblings);
	CPU_SET(cpu, &siblings);
	CPU_AND(&siblings, &siblings, &p->usable);
	CPU_OR(&p->planes, &p->planes, &siblings);
}

static void take_lowest(struct cores *p, unsigned n, const char *root)
{
	for (unsigned i = 0; i < PROCESSORS && (unsigned)CPU_COUNT(&p->planes) < n; i++) {
		if (CPU_ISSET(i, &p->usable)) {
			add_core(p, i, root);
		}
	}
}

/* ---- the plan ---- */

static unsigned usual(unsigned n_usable)
{
	return n_usable < APART_MIN ? 0 : n_usable < TWO_MIN ? 1 : 2;
}

/* Fills in `planes` as far as it is for them alone; the error says why it cannot be. */
static bool choose(struct cores *p, const struct cores_config *c, struct error *e)
{
	const char *wanted = c->wanted == NULL ? WANTED_AUTO : c->wanted;
	uint64_t n = usual(p->n_usable);
	cpu_set_t list;
	char have[80];

	if (c->is_share) {
		return strcmp(wanted, WANTED_AUTO) == 0 || strcmp(wanted, WANTED_NONE) == 0 ||
		       error_set(e, ERROR_UNSUPPORTED,
				 "processors \"%.60s\" for the planes: the node has a share of its "
				 "machine only",
				 wanted);
	}
	if (strcmp(wanted, WANTED_NONE) == 0) {
		return true;
	}
	bool is_list = strcmp(wanted, WANTED_AUTO) != 0 && !is_number(wanted);
	if (is_list && list_read(wanted, &list)) {
		CPU_AND(&p->planes, &list, &p->usable);
	} else {
		(void)number_u64(wanted, &n);
		take_lowest(p, (unsigned)MIN(n, (uint64_t)PROCESSORS), c->root);
	}
	unsigned got = (unsigned)CPU_COUNT(&p->planes);
	cores_list(&p->usable, have, sizeof(have));
	if (is_list && (got == 0 || got != (unsigned)CPU_COUNT(&list))) {
		return error_set(e, ERROR_LIMIT,
				 "processors \"%.60s\" for the planes: the node can use %s", wanted,
				 have);
	}
	if (got < p->n_usable) {
		return true;
	}
	CPU_ZERO(&p->planes);
	return strcmp(wanted, WANTED_AUTO) == 0 ||
	       error_set(e, ERROR_LIMIT,
			 "processors \"%.60s\" for the planes: none of the node's %u (%s) are left "
			 "for VMs",
			 wanted, p->n_usable, have);
}

bool cores_plan(struct cores *out, const struct cores_config *c, struct error *e)
{
	struct cores p = { .kind = c->is_share ? CORES_SHARE : CORES_TOGETHER };

	usable(&p.usable, c);
	p.n_usable = (unsigned)CPU_COUNT(&p.usable);
	bool ok = choose(&p, c, e);
	p.n_planes = ok ? (unsigned)CPU_COUNT(&p.planes) : 0;
	if (p.n_planes == 0) {
		p.planes = p.usable;
		p.vms = p.usable;
		p.n_planes = p.n_usable;
		p.kept_percent = c->is_share ? 0 : CORES_KEPT_SHARED;
	} else {
		p.kind = CORES_APART;
		CPU_XOR(&p.vms, &p.usable, &p.planes);
		p.kept_percent = 100 * p.n_planes;
	}
	p.n_vms = (unsigned)CPU_COUNT(&p.vms);
	*out = p;
	return ok;
}

bool cores_equal(const struct cores *a, const struct cores *b)
{
	return a->kind == b->kind && CPU_EQUAL(&a->usable, &b->usable) &&
	       CPU_EQUAL(&a->planes, &b->planes);
}

/* ---- in words ---- */

void cores_list(const cpu_set_t *set, char *out, size_t size)
{
	struct buf b = BUF_INIT;

	for (unsigned i = 0; i < PROCESSORS; i++) {
		unsigned last = i;
		if (!CPU_ISSET(i, set)) {
			continue;
		}
		while (last + 1 < PROCESSORS && CPU_ISSET(last + 1, set)) {
			last++;
		}
		buf_addf(&b, "%s%u", b.len > 0 ? "," : "", i);
		if (last > i) {
			buf_addf(&b, "-%u", last);
		}
		i = last;
	}
	snprintf(out, size, "%s", b.len > 0 ? b.data : "");
	buf_free(&b);
}

const char *cores_kind_name(enum cores_kind kind)
{
	static const char *const names[] = {
		[CORES_SHARE] = "share",
		[CORES_TOGETHER] = "together",
		[CORES_APART] = "apart",
	};
	return names[kind];
}

void cores_text(const struct cores *c, char *out, size_t size)
{
	char planes[80], vms[80];

	cores_list(&c->planes, planes, sizeof(planes));
	cores_list(&c->vms, vms, sizeof(vms));
	if (c->kind == CORES_APART) {
		snprintf(out, size, "CPU %s for the switch and the agent, CPU %s for VMs", planes,
			 vms);
	} else {
		snprintf(out, size, "CPU %s for all; VMs yield to the switch and the agent%s", vms,
			 c->kind == CORES_SHARE ? "; this node has a share of the machine" : "");
	}
}
