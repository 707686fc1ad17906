// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "json_finding.h"

static struct json_object *new_evidence(struct writer *w, const struct report_finding *f)
{
	struct json_object *o = new_object(w);

	for (size_t i = 0; i < f->nr_evidence; i++) {
		const struct report_evidence *e = &f->evidence[i];

		switch (e->kind) {
		case EVIDENCE_COUNT:
			put_u64(w, o, e->name, e->count);
			break;
		case EVIDENCE_RATIO:
			put_double_if(w, o, e->name, true, e->ratio);
			break;
		case EVIDENCE_TEXT:
			put_field(w, o, e->name, e->text);
			break;
		case EVIDENCE_UNKNOWN:
			put_null(w, o, e->name);
			break;
		}
	}
	return o;
}

struct json_object *new_findings(struct writer *w, const struct report *r)
{
	struct json_object *list;

	if (!r->nr_findings)
		return NULL; /* nobody has judged it */
	list = new_list(w);
	for (size_t i = 0; i < r->nr_findings; i++) {
		const struct report_finding *f = &r->findings[i];
		struct json_object *o = new_object(w);

		put_string(w, o, "id", f->id, SIZE_MAX);
		put_field(w, o, "text", f->text);
		put_double_if(w, o, "share_ratio", true, f->share);
		put(w, o, "evidence", new_evidence(w, f));
		put_field_text(w, o, "next", f->next);
		put_bool(w, o, "now", f->now);
		put_u64(w, o, "since_mono_ns", f->since_ns);
		put_u64(w, o, "seen_intervals", f->seen);
		put_u64(w, o, "of_intervals", f->watched);
		append(w, list, o);
	}
	return list;
}

struct json_object *new_changes(struct writer *w, const struct report *r)
{
	struct json_object *list;

	if (!r->have_baseline)
		return NULL;
	list = new_list(w);
	for (size_t i = 0; i < r->nr_changes; i++) {
		const struct report_change *c = &r->changes[i];
		struct json_object *o = new_object(w);

		put_string(w, o, "name", c->name, SIZE_MAX);
		put_field(w, o, "text", c->text);
		put_double_if(w, o, "before", true, c->before);
		put_double_if(w, o, "now", true, c->now);
		append(w, list, o);
	}
	return list;
}
