/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue of event types, made from the schema: EventManager.description and what filters by
 * category need. Event-loop thread only.
 */
#ifndef VIM_EVENT_CATALOG_H
#define VIM_EVENT_CATALOG_H

#include "base/arena.h"
#include "vim/value.h"

/* "info", "warning", "error" or "user": severity of an event, or of a type of events. */
const char *event_category(const struct value *event);
const char *event_type_category(uint16_t type);

/* Its eventTypeId where it has one (EventEx, ExtendedEvent), else the name of its type. */
const char *event_type_id(const struct value *event);

/* The type that a name stands for ("VmPoweredOnEvent", "vim.event.VmPoweredOnEvent"), or T_none
 * when there is no such type of events. */
uint16_t event_type_find(const char *name);

/* The EventDescription: made once, kept for the life of the process. */
const struct value *event_catalog(void);

/* EventArgDesc[] of a type: each field that may be named in a message. */
struct value *event_arguments_describe(struct arena *a, uint16_t type);

#endif
