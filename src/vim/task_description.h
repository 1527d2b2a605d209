/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of tasks: TaskInfo.descriptionId and TaskManager.description, made from the schema.
 * Event-loop thread only.
 */
#ifndef VIM_TASK_DESCRIPTION_H
#define VIM_TASK_DESCRIPTION_H

#include "base/arena.h"
#include "vim/value.h"

/* The id of a method called on an object of the managed type: "VirtualMachine.powerOn" for
 * PowerOnVM_Task, "Folder.createVm" for CreateVM_Task. */
char *task_description_id(struct arena *a, uint16_t managed, uint16_t method);

/* "Power on virtual machine" for "PowerOnVM_Task" (any wire name of a method). */
char *task_label(struct arena *a, const char *method_name);

/* The TaskDescription with every id that task_description_id() gives for *_Task methods: made once,
 * kept for the life of the process. */
const struct value *task_description(void);

#endif
