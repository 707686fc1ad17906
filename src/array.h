/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Growing arrays. */
#ifndef THREADPROF_ARRAY_H
#define THREADPROF_ARRAY_H

#include <stddef.h>
#include <stdlib.h>

/*
 * Makes room for one element more: returns @list, moved if need be, and raises *@capacity; NULL when there
 * is no memory, and then @list is as it was.
 */
static inline void *array__grow(void *list, size_t nr, size_t *capacity, size_t element_size)
{
	size_t wanted = *capacity ? 2 * *capacity : 16;

	if (nr < *capacity)
		return list;
	list = reallocarray(list, wanted, element_size);
	if (list)
		*capacity = wanted;
	return list;
}

/* qsort() of an array that may be empty, and then NULL. */
static inline void array__sort(void *list, size_t nr, size_t element_size,
			       int (*compare)(const void *, const void *))
{
	if (nr)
		qsort(list, nr, element_size, compare);
}

#endif /* THREADPROF_ARRAY_H */
