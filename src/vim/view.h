/* SPDX-License-Identifier: Apache-2.0 */
/* ViewManager, ContainerView, ListView, InventoryView (vSphere API ViewManager). */
#ifndef VIM_VIEW_H
#define VIM_VIEW_H

#include "vim/service.h"
#include "vim/session.h"

struct view_manager;
/* To be made before the collectors: listeners of the inventory are called in turn, and what comes
 * into a view is told together with what else changed, not after it. */
struct view_manager *view_manager_new(struct service *s, const char *id);
void view_manager_free(struct view_manager *m);

#endif
