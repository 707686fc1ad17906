// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct entry {
	struct tp_addr addr;
	char name[128];
	bool known;
};

struct resolver {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct entry entries[RESOLVER_MAX];
	size_t nr;
	bool ends; /* the thread frees the resolver when it sees this */
};

static socklen_t to_sockaddr(const struct tp_addr *addr, struct sockaddr_storage *to)
{
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	to->ss_family = addr->family;
	if (addr->family == AF_INET) {
		memcpy(&in->sin_addr, addr->ip, sizeof(in->sin_addr));
		in->sin_port = htons(addr->port);
		return sizeof(*in);
	}
	memcpy(&in6->sin6_addr, addr->ip, sizeof(in6->sin6_addr));
	in6->sin6_port = htons(addr->port);
	return sizeof(*in6);
}

static void ask(const struct tp_addr *addr, char *name, size_t size)
{
	char host[96], service[24];
	struct sockaddr_storage sockaddr;
	socklen_t length = to_sockaddr(addr, &sockaddr);

	if (getnameinfo((struct sockaddr *)&sockaddr, length, host, sizeof(host), service, sizeof(service), 0))
		name[0] = '\0';
	else
		snprintf(name, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, service);
}

static struct entry *next_question(struct resolver *resolver)
{
	for (size_t i = 0; i < resolver->nr; i++) {
		if (!resolver->entries[i].known)
			return &resolver->entries[i];
	}
	return NULL;
}

static void *run(void *arg)
{
	struct resolver *resolver = arg;

	pthread_mutex_lock(&resolver->lock);
	while (!resolver->ends) {
		struct entry *entry = next_question(resolver);
		struct tp_addr addr;
		char name[sizeof(entry->name)];

		if (!entry) {
			pthread_cond_wait(&resolver->changed, &resolver->lock);
			continue;
		}
		addr = entry->addr;
		pthread_mutex_unlock(&resolver->lock);
		ask(&addr, name, sizeof(name));
		pthread_mutex_lock(&resolver->lock);
		memcpy(entry->name, name, sizeof(entry->name));
		entry->known = true;
	}
	pthread_mutex_unlock(&resolver->lock);
	free(resolver);
	return NULL;
}

struct resolver *resolver__new(void)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	sigset_t all, before;
	pthread_t thread;
	int err;

	if (!resolver)
		return NULL;
	pthread_mutex_init(&resolver->lock, NULL);
	pthread_cond_init(&resolver->changed, NULL);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, run, resolver);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err) {
		free(resolver);
		return NULL;
	}
	pthread_detach(thread);
	return resolver;
}

void resolver__free(struct resolver *resolver)
{
	if (!resolver)
		return;
	pthread_mutex_lock(&resolver->lock);
	resolver->ends = true;
	pthread_cond_signal(&resolver->changed);
	pthread_mutex_unlock(&resolver->lock);
}

bool resolver__name(struct resolver *resolver, const struct tp_addr *addr, char *buf, size_t size)
{
	bool known = false;
	size_t i;

	if (addr->family != AF_INET && addr->family != AF_INET6)
		return false;
	pthread_mutex_lock(&resolver->lock);
	for (i = 0; i < resolver->nr; i++) {
		if (!memcmp(&resolver->entries[i].addr, addr, sizeof(*addr)))
			break;
	}
	if (i < resolver->nr) {
		known = resolver->entries[i].known && resolver->entries[i].name[0];
		if (known)
			snprintf(buf, size, "%s", resolver->entries[i].name);
	} else if (i < RESOLVER_MAX) {
		resolver->entries[resolver->nr++] = (struct entry){ .addr = *addr };
		pthread_cond_signal(&resolver->changed);
	}
	pthread_mutex_unlock(&resolver->lock);
	return known;
}
