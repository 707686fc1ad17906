// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Feeds the reducers with synthetic requests as fast as they take them; prints records per second of one CPU. */
#include <stdio.h>
#include <time.h>

#include "profile.h"

#define RECORDS 5000000
#define CONNS 1000

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Requests of many connections, of 1 us to 10 ms, 10 us after each other. */
static struct tp_rec_request next_request(uint64_t i)
{
	uint64_t start_ns = 1000000000ULL + i * 10000, latency_ns = 1000 + i * 7919 % 10000000;
	struct tp_rec_request rec = {
		.h = { .kind = TP_REC_REQUEST, .size = sizeof(rec), .ts_ns = start_ns + latency_ns },
		.r = { .conn_id = 1 + i % CONNS, .seq = 1 + i / CONNS, .tgid = 1, .read_tid = 1, .write_tid = 1,
		       .start_ns = start_ns, .first_write_ns = start_ns + latency_ns,
		       .end_ns = start_ns + latency_ns, .queue_wait_ns = TP_NO_QUEUE_WAIT,
		       .part_ns = { [TP_CPU] = latency_ns } },
	};

	return rec;
}

int main(void)
{
	const struct requests_config config = { .nr_slowest = 5, .quiet_ns = 1000000000 };
	struct profile profile;
	double begin;

	if (profile__init(&profile, &config))
		return 1;
	begin = cpu_seconds();
	for (uint64_t i = 0; i < RECORDS; i++) {
		const struct tp_rec_request rec = next_request(i);

		profile__on_record(&profile, &rec.h);
	}
	printf("%.0f\n", RECORDS / (cpu_seconds() - begin));
	profile__free(&profile);
	return 0;
}
