// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "check_list.h"

#include <stdio.h>

void check__add(struct check *check, const char *name, const char *state, const char *reason, const char *remedy)
{
	size_t i = check->nr;

	if (i >= CHECK_MAX_FEATURES)
		return;
	if (reason)
		snprintf(check->text[i], sizeof(check->text[i]), "%s", reason);
	check->list[i] = (struct report_feature){
		.name = name,
		.state = state,
		.reason = reason ? check->text[i] : NULL,
		.remedy = remedy,
	};
	check->nr++;
}
