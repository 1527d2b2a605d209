/* SPDX-License-Identifier: Apache-2.0 */
/* SearchIndex (vSphere API SearchIndex): find entities by uuid, path, name, address. */
#ifndef VIM_SEARCH_H
#define VIM_SEARCH_H

#include "vim/service.h"

struct search_index;
struct search_index *search_index_new(struct service *s, const char *id,
				      const char *root_folder_id);
void search_index_free(struct search_index *x);

#endif
