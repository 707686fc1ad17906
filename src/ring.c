// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "ring.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/bpf.h>

/* Records begin at multiples of it. */
#define ALIGNMENT 8

struct ring {
	size_t size; /* of the data, a power of two */
	size_t page;
	unsigned long *consumed; /* a page that we write and the kernel reads: bytes since the start */
	const unsigned long *produced; /* a page that the kernel writes; the data follow it */
	const char *data;
	char *whole; /* a record whose end lies at the data's begin */
	size_t whole_size;
	ring_fn fn;
	void *context;
};

int ring__new(const struct bpf_map *map, ring_fn fn, void *context, struct ring **out)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int fd = bpf_map__fd(map);
	void *mapped;

	if (!ring)
		return -ENOMEM;
	ring->size = bpf_map__max_entries(map);
	ring->page = sysconf(_SC_PAGESIZE);
	ring->fn = fn;
	ring->context = context;
	mapped = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		goto fail;
	ring->consumed = mapped;
	mapped = mmap(NULL, ring->page + ring->size, PROT_READ, MAP_SHARED, fd, ring->page);
	if (mapped == MAP_FAILED)
		goto fail;
	ring->produced = mapped;
	ring->data = (const char *)mapped + ring->page;
	/* A process of ours that has nothing to do with it. */
	madvise(mapped, ring->page + ring->size, MADV_DONTFORK);
	*out = ring;
	return 0;
fail:
	ring__free(ring);
	return -errno;
}

void ring__free(struct ring *ring)
{
	int err = errno;

	if (!ring)
		return;
	if (ring->consumed)
		munmap(ring->consumed, ring->page);
	if (ring->produced)
		munmap((void *)ring->produced, ring->page + ring->size);
	free(ring->whole);
	free(ring);
	errno = err;
}

/* The record's @size bytes at @at, in one piece; NULL without memory. */
static void *in_one_piece(struct ring *ring, size_t at, size_t size)
{
	size_t first = ring->size - at;

	if (size <= first)
		return (void *)(ring->data + at);
	if (size > ring->whole_size) {
		char *grown = realloc(ring->whole, size);

		if (!grown)
			return NULL;
		ring->whole = grown;
		ring->whole_size = size;
	}
	memcpy(ring->whole, ring->data + at, first);
	memcpy(ring->whole + first, ring->data, size - first);
	return ring->whole;
}

int ring__drain(struct ring *ring)
{
	unsigned long consumed = *ring->consumed;
	int count = 0, err = 0;

	while (!err && consumed < __atomic_load_n(ring->produced, __ATOMIC_ACQUIRE)) {
		size_t at = consumed & (ring->size - 1);
		uint32_t head = __atomic_load_n((const uint32_t *)(ring->data + at), __ATOMIC_ACQUIRE);
		size_t size = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		void *record;

		if (head & BPF_RINGBUF_BUSY_BIT)
			break; /* it is still written */
		if (!(head & BPF_RINGBUF_DISCARD_BIT)) {
			/* The length alone can't be split: the data are a multiple of it. */
			record = in_one_piece(ring, (at + BPF_RINGBUF_HDR_SZ) & (ring->size - 1), size);
			if (!record)
				return -ENOMEM;
			err = ring->fn(ring->context, record, size);
			count++;
		}
		consumed += (size + BPF_RINGBUF_HDR_SZ + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
		__atomic_store_n(ring->consumed, consumed, __ATOMIC_RELEASE);
	}
	return err ? err : count;
}
