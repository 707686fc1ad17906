// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "client.h"

#include <string.h>

void clients__on_totals(struct clients *clients, const struct tp_clients *totals)
{
	for (int i = 0; i < TP_NR_CLIENT_WAITS; i++)
		clients->ended_ns[i] = totals->wait_ns[i] - clients->before.wait_ns[i];
	clients->before = *totals;
}

void clients__on_thread(struct clients *clients, const struct tp_rec_thread *rec)
{
	if (rec->client_wait && rec->client_wait < TP_NR_CLIENT_WAITS)
		clients->open_ns[rec->client_wait] += rec->h.ts_ns - rec->client_since;
}

void clients__report(const struct clients *clients, struct report *report)
{
	for (int i = 0; i < TP_NR_CLIENT_WAITS; i++) {
		uint64_t ns = clients->ended_ns[i] + clients->open_ns[i];

		report->client_wait_ns[i] = ns > clients->open_before_ns[i] ? ns - clients->open_before_ns[i] : 0;
	}
}

void clients__next(struct clients *clients)
{
	memcpy(clients->open_before_ns, clients->open_ns, sizeof(clients->open_ns));
	memset(clients->open_ns, 0, sizeof(clients->open_ns));
}
