/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dying fast. When a process ends, the kernel first takes its memory apart, page by page, and only
 * then closes its files, by which others see that it is gone: with packet buffers in ordinary pages
 * that is some 30 ms in which nobody forwards. The heir is a process that shares this one's memory
 * and nothing else, sleeps, and outlives it for a moment: so files are closed at once, and memory
 * is taken apart by the heir, while the next process works already.
 */
#ifndef SWITCH_MEMORY_HEIR_H
#define SWITCH_MEMORY_HEIR_H

/* From the main thread, before files are opened that must not outlive the process: the heir keeps
 * those that are open now for as long. Where there can be none, nothing is lost but time. */
void memory_heir_begin(void);

#endif
