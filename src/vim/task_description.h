/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of tasks: TaskInfo.descriptionId and TaskManager.description, made from the schema. Any
 * thread.
 */
#ifndef VIM_TASK_DESCRIPTION_H
#define VIM_TASK_DESCRIPTION_H

#include "base/arena.h"
#include "vim/value.h"

/* The id of a method called on an object of the managed type: "VirtualMachine.powerOn" for
 * PowerOnVM_Task, "Folder.createVm" for CreateVM_Task. */
char *task_description_id(struct arena *a, uint16_t managed, uint16_t method);

/* A TaskDescription draft: every id that task_description_id() gives for *_Task methods. */
struct value *task_description_new(struct arena *a);

#endif
