/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named settings with types and limits (vSphere API OptionManager): a host's advanced options, a
 * manager's settings. Values that differ from the defaults are stored in a file.
 *
 * The manager owns copies of what its specs say. Event-loop thread only.
 */
#ifndef VIM_OPTION_H
#define VIM_OPTION_H

#include "vim/service.h"

struct option_manager;

enum option_kind {
	OPTION_BOOL,
	OPTION_INT,
	OPTION_LONG,
	OPTION_STRING,
	OPTION_CHOICE /* a string, one of `choices` */
};

struct option_spec {
	const char *key; /* "Net.TcpipHeapSize" */
	const char *label, *summary;
	enum option_kind kind;
	bool readonly;
	int64_t number;		    /* default of bool, int, long */
	int64_t min, max;	    /* int, long */
	const char *text;	    /* default of string, choice */
	const char *const *choices; /* NULL-terminated */
};

struct option_config {
	const char *id;	       /* of the OptionManager object */
	const char *path;      /* where changed values are stored; NULL: nowhere */
	const char *privilege; /* that UpdateOptions needs; NULL: "Global.Settings" */
	const struct option_spec *specs;
	size_t n_specs;
	/* Clients may add string settings whose key begins so, 1,000 of them; NULL: none. */
	const char *open_prefix;
	/* Told after a value changed; may be NULL. */
	void (*changed)(void *arg, const char *key, const struct value *value);
	void *arg;
};

/* NULL when the stored values cannot be read. */
struct option_manager *option_manager_new(struct service *s, const struct option_config *config,
					  struct error *e);
void option_manager_free(struct option_manager *m);

/* Present value, a kept boxed value; NULL for an unknown key. */
const struct value *option_get(const struct option_manager *m, const char *key);
int64_t option_get_num(const struct option_manager *m, const char *key, int64_t otherwise);

/* A read-only string setting says something else from now on; `changed` is told. */
void option_set_fact(struct option_manager *m, const char *key, const char *text);

#endif
