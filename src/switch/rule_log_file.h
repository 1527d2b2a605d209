/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of lines that does not grow without bound: when it is full it becomes PATH.1, in place of
 * what that was, and a new one begins. Who opens it goes on where the one before ended, however
 * that ended: there are whole lines only. A file that was taken away is made anew. One thread.
 */
#ifndef SWITCH_RULE_LOG_FILE_H
#define SWITCH_RULE_LOG_FILE_H

#include <stddef.h>
#include <stdint.h>

struct rule_log_file;

/* max: bytes of each of the two files. */
struct rule_log_file *rule_log_file_new(const char *path, uint64_t max);
void rule_log_file_free(struct rule_log_file *f);

/* Appends lines, n bytes; how many of the lines were not written, since the file cannot be opened
 * or grow. It tries anew each time. */
size_t rule_log_file_add(struct rule_log_file *f, const char *lines, size_t n);

#endif
