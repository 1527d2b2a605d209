/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client without a session is told when it asks whether it has one: clients with a saved
 * cookie (govc) read SessionManager.currentSession and take a NotAuthenticated in the missingSet
 * for "log in again", but a fault for the end. For service.c only.
 */
#ifndef VIM_STRANGER_H
#define VIM_STRANGER_H

#include "vim/service.h"

/* Answers a RetrieveProperties or RetrievePropertiesEx that asks for a SessionManager's properties
 * and nothing else: all are missing. False: it is another call, unanswered. */
bool stranger_answer(struct call *c);

#endif
