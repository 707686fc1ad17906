// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "demangle_rust.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

/* Names refer back to parts of themselves: a name made for it would keep us busy without end. */
#define MAX_DEPTH 64
#define MAX_STEPS 4096

/* A reader of a name; what it writes is thrown away while it is quiet. */
struct reader {
	const char *name;
	size_t len;
	size_t at;
	char *out;
	size_t size;
	size_t used;
	unsigned int quiet;
	unsigned int depth;
	unsigned int steps;
	bool wrong;
};

static void read_path(struct reader *r);
static void read_type(struct reader *r);

static char peek(const struct reader *r)
{
	return r->at < r->len ? r->name[r->at] : '\0';
}

static char take(struct reader *r)
{
	char c = peek(r);

	if (!c || ++r->steps > MAX_STEPS)
		r->wrong = true;
	r->at += c != '\0';
	return r->wrong ? '\0' : c;
}

static bool take_if(struct reader *r, char c)
{
	if (r->wrong || peek(r) != c)
		return false;
	take(r);
	return true;
}

static void write_bytes(struct reader *r, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count && !r->quiet && r->used + 1 < r->size; i++)
		r->out[r->used++] = bytes[i];
}

static void write_text(struct reader *r, const char *text)
{
	write_bytes(r, text, strlen(text));
}

/* Digits and letters that end in "_"; "_" alone is 0. */
static uint64_t read_base62(struct reader *r)
{
	uint64_t value = 0;

	if (take_if(r, '_'))
		return 0;
	while (!r->wrong && peek(r) != '_') {
		char c = take(r);
		unsigned int digit = isdigit((unsigned char)c) ? c - '0' : islower((unsigned char)c) ? c - 'a' + 10 :
									   c - 'A' + 36;

		if (!isalnum((unsigned char)c))
			r->wrong = true;
		value = value * 62 + digit;
	}
	take(r);
	return value + 1;
}

static void skip_disambiguator(struct reader *r)
{
	if (take_if(r, 's'))
		read_base62(r);
}

static size_t read_decimal(struct reader *r)
{
	size_t value = 0;

	if (take_if(r, '0'))
		return 0;
	while (isdigit((unsigned char)peek(r)) && value < r->len)
		value = value * 10 + (take(r) - '0');
	return value;
}

/* Letters beyond ASCII are left as they are encoded. False: it has no letter. */
static bool read_identifier(struct reader *r, const char *before)
{
	size_t len;

	skip_disambiguator(r);
	take_if(r, 'u');
	if (!isdigit((unsigned char)peek(r)))
		r->wrong = true;
	len = read_decimal(r);
	take_if(r, '_');
	if (r->wrong || len > r->len - r->at) {
		r->wrong = true;
		return false;
	}
	if (len)
		write_text(r, before);
	write_bytes(r, r->name + r->at, len);
	r->at += len;
	return len;
}

/* Reads again what stands before; @read is what it is. */
static void follow_reference(struct reader *r, void (*read)(struct reader *r))
{
	size_t from = r->at - 1, to = read_base62(r), after = r->at;

	if (r->wrong || to >= from) {
		r->wrong = true;
		return;
	}
	r->at = to;
	read(r);
	r->at = after;
}

static void read_quietly(struct reader *r, void (*read)(struct reader *r))
{
	r->quiet++;
	read(r);
	r->quiet--;
}

static void read_constant(struct reader *r)
{
	if (take_if(r, 'p'))
		return;
	if (take_if(r, 'B')) {
		follow_reference(r, read_constant);
		return;
	}
	read_type(r);
	while (!r->wrong && !take_if(r, '_'))
		take(r);
}

static void read_generic_arguments(struct reader *r)
{
	while (!r->wrong && !take_if(r, 'E')) {
		if (take_if(r, 'L'))
			read_base62(r);
		else if (take_if(r, 'K'))
			read_constant(r);
		else
			read_type(r);
	}
}

/* Of a trait object: its traits, with what their types are, then a lifetime. */
static void read_bounds(struct reader *r)
{
	if (take_if(r, 'G'))
		read_base62(r);
	for (bool first = true; !r->wrong && !take_if(r, 'E'); first = false) {
		write_text(r, first ? "" : " + ");
		read_path(r);
		while (take_if(r, 'p')) {
			r->quiet++;
			read_identifier(r, "");
			read_type(r);
			r->quiet--;
		}
	}
	if (take_if(r, 'L'))
		read_base62(r);
}

static void read_function_type(struct reader *r)
{
	if (take_if(r, 'G'))
		read_base62(r);
	take_if(r, 'U');
	if (take_if(r, 'K') && !take_if(r, 'C'))
		read_identifier(r, "");
	while (!r->wrong && !take_if(r, 'E'))
		read_type(r);
	read_type(r);
}

static const char *basic_type(char c)
{
	static const char *const names[] = {
		"i8", "bool", "char", "f64", "str", "f32", NULL, "u8", "isize", "usize", NULL, "i32", "u32",
		"i128", "u128", "_", NULL, NULL, "i16", "u16", "()", "...", NULL, "i64", "u64", "!",
	};

	return islower((unsigned char)c) ? names[c - 'a'] : NULL;
}

static void read_sequence(struct reader *r)
{
	write_text(r, "(");
	for (bool first = true; !r->wrong && !take_if(r, 'E'); first = false) {
		write_text(r, first ? "" : ", ");
		read_type(r);
	}
	write_text(r, ")");
}

static void read_reference_type(struct reader *r, const char *sign)
{
	write_text(r, sign);
	if (take_if(r, 'L'))
		read_base62(r);
	read_type(r);
}

static void read_compound_type(struct reader *r)
{
	switch (take(r)) {
	case 'A':
		write_text(r, "[");
		read_type(r);
		write_text(r, "]");
		read_quietly(r, read_constant);
		break;
	case 'S':
		write_text(r, "[");
		read_type(r);
		write_text(r, "]");
		break;
	case 'T':
		read_sequence(r);
		break;
	case 'R':
	case 'Q':
		read_reference_type(r, "&");
		break;
	case 'P':
	case 'O':
		read_reference_type(r, "*");
		break;
	case 'F':
		write_text(r, "fn");
		read_quietly(r, read_function_type);
		break;
	case 'D':
		write_text(r, "dyn ");
		read_bounds(r);
		break;
	default:
		follow_reference(r, read_type);
	}
}

static void read_type(struct reader *r)
{
	const char *basic = basic_type(peek(r));

	if (r->wrong || ++r->depth > MAX_DEPTH) {
		r->wrong = true;
		return;
	}
	if (basic) {
		take(r);
		write_text(r, basic);
	} else if (peek(r) && strchr("ASTRQPOFDB", peek(r))) {
		read_compound_type(r);
	} else {
		read_path(r);
	}
	r->depth--;
}

static void read_impl_path(struct reader *r)
{
	skip_disambiguator(r);
	read_path(r);
}

/* A type with functions of its own, or as something that it implements. */
static void read_implementation(struct reader *r, char tag)
{
	if (tag != 'Y')
		read_quietly(r, read_impl_path);
	write_text(r, "<");
	read_type(r);
	if (tag != 'M') {
		write_text(r, " as ");
		read_path(r);
	}
	write_text(r, ">");
}

static void read_nested(struct reader *r)
{
	char space = take(r);

	read_path(r);
	if (!read_identifier(r, "::") && isupper((unsigned char)space))
		write_text(r, space == 'C' ? "::{closure}" : "::{shim}");
}

static void read_path(struct reader *r)
{
	char tag;

	if (r->wrong || ++r->depth > MAX_DEPTH) {
		r->wrong = true;
		return;
	}
	tag = take(r);
	if (tag == 'C')
		read_identifier(r, "");
	else if (tag == 'N')
		read_nested(r);
	else if (tag == 'M' || tag == 'X' || tag == 'Y')
		read_implementation(r, tag);
	else if (tag == 'I') {
		read_path(r);
		read_quietly(r, read_generic_arguments);
	} else if (tag == 'B')
		follow_reference(r, read_path);
	else
		r->wrong = true;
	r->depth--;
}

bool demangle_rust(char *out, size_t size, const char *name)
{
	struct reader r = { .name = name + 2, .out = out, .size = size };

	if (strncmp(name, "_R", 2) || !size)
		return false;
	/* what the compiler adds for itself begins with a dot */
	r.len = strcspn(r.name, ".");
	read_path(&r);
	out[r.used] = '\0';
	return !r.wrong && r.used;
}
