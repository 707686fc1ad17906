// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* One character of the input, or one stretch of bytes that is none. */
struct glyph {
	size_t len;
	bool valid;
	uint32_t code; /* when valid */
};

struct code_range {
	uint32_t first;
	uint32_t last;
};

/* Characters that a terminal may obey, hide, or use to show text in another order than it is in. */
static const struct code_range unsafe_codes[] = {
	{ 0x0000, 0x001f },    { 0x007f, 0x009f }, { 0x00ad, 0x00ad },	 { 0x034f, 0x034f },
	{ 0x061c, 0x061c },    { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 },	 { 0x180b, 0x180f },
	{ 0x200b, 0x200f },    { 0x2028, 0x202e }, { 0x2060, 0x206f },	 { 0x3164, 0x3164 },
	{ 0xe000, 0xf8ff },    { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff },	 { 0xffa0, 0xffa0 },
	{ 0xfff0, 0xfffb },    { 0xfffe, 0xffff }, { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a },
	{ 0xe0000, 0x10ffff },
};

/* Characters that take two columns on some terminal at least. */
static const struct code_range wide_codes[] = {
	{ 0x1100, 0x115f },   { 0x231a, 0x231b },   { 0x2329, 0x232a },	  { 0x23e9, 0x23f3 },
	{ 0x25fd, 0x25fe },   { 0x2600, 0x27bf },   { 0x2b1b, 0x2b55 },	  { 0x2e80, 0xa4cf },
	{ 0xa960, 0xa97f },   { 0xac00, 0xd7ff },   { 0xf900, 0xfaff },	  { 0xfe10, 0xfe6f },
	{ 0xff00, 0xff60 },   { 0xffe0, 0xffe6 },   { 0x16fe0, 0x18fff }, { 0x1aff0, 0x1b2ff },
	{ 0x1f000, 0x1ffff }, { 0x20000, 0x3ffff },
};

static bool in_ranges(uint32_t code, const struct code_range *ranges, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	}
	return false;
}

#define IN_RANGES(code, ranges) in_ranges(code, ranges, sizeof(ranges) / sizeof((ranges)[0]))

/* How many bytes follow a lead byte, and what the first of them may be (RFC 3629). */
static size_t sequence_tail(unsigned char lead, unsigned char *low, unsigned char *high)
{
	*low = 0x80;
	*high = 0xbf;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 1;
	if (lead >= 0xe0 && lead <= 0xef) {
		if (lead == 0xe0)
			*low = 0xa0;
		if (lead == 0xed)
			*high = 0x9f;
		return 2;
	}
	if (lead >= 0xf0 && lead <= 0xf4) {
		if (lead == 0xf0)
			*low = 0x90;
		if (lead == 0xf4)
			*high = 0x8f;
		return 3;
	}
	return 0;
}

/* The glyph at @s, which has @len > 0 bytes. */
static struct glyph glyph_at(const unsigned char *s, size_t len)
{
	static const unsigned char lead_mask[] = { 0x7f, 0x1f, 0x0f, 0x07 };
	struct glyph g = { .len = 1, .valid = true, .code = s[0] };
	unsigned char low, high;
	size_t tail;

	if (s[0] < 0x80)
		return g;
	tail = sequence_tail(s[0], &low, &high);
	g.code = s[0] & lead_mask[tail];
	g.valid = tail > 0;
	for (size_t i = 0; i < tail; i++) {
		if (g.len == len || s[g.len] < low || s[g.len] > high) {
			g.valid = false;
			return g;
		}
		g.code = g.code << 6 | (s[g.len] & 0x3f);
		g.len++;
		low = 0x80;
		high = 0xbf;
	}
	return g;
}

static bool is_printable(const struct glyph *g)
{
	return g->valid && !IN_RANGES(g->code, unsafe_codes);
}

static size_t glyph_columns(const struct glyph *g)
{
	if (!is_printable(g))
		return 4 * g->len;
	return IN_RANGES(g->code, wide_codes) ? 2 : 1;
}

static size_t put_hex(char *out, const unsigned char *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = '\\';
		*out++ = 'x';
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 0xf];
	}
	return 4 * len;
}

/*
 * Bytes of @s that fit into @size output bytes and @columns, with what they take; all of them if
 * they do.
 */
static size_t fitting(const unsigned char *s, size_t len, size_t size, size_t columns, size_t *used)
{
	size_t at = 0, bytes = 0;

	*used = 0;
	while (at < len) {
		struct glyph g = glyph_at(s + at, len - at);
		size_t need = is_printable(&g) ? g.len : 4 * g.len;

		if (bytes + need > size || *used + glyph_columns(&g) > columns)
			break;
		bytes += need;
		*used += glyph_columns(&g);
		at += g.len;
	}
	return at;
}

size_t escape__terminal(char *out, size_t size, const char *in, size_t max, size_t columns)
{
	static const char mark[] = "..";
	const size_t mark_len = sizeof(mark) - 1;
	const unsigned char *s = (const unsigned char *)in;
	size_t len = strnlen(in, max), at = 0, end, used;
	bool cut;

	if (!size)
		return 0;
	size--;
	end = fitting(s, len, size, columns, &used);
	cut = end < len && columns > mark_len && size > mark_len;
	if (cut)
		end = fitting(s, len, size - mark_len, columns - mark_len, &used);
	while (at < end) {
		struct glyph g = glyph_at(s + at, len - at);

		if (is_printable(&g)) {
			memcpy(out, s + at, g.len);
			out += g.len;
		} else {
			out += put_hex(out, s + at, g.len);
		}
		at += g.len;
	}
	if (cut) {
		memcpy(out, mark, mark_len);
		out += mark_len;
		used += mark_len;
	}
	*out = '\0';
	return used;
}

size_t escape__utf8(char *out, size_t size, const char *in, size_t max)
{
	static const char replacement[] = "\xef\xbf\xbd";
	const unsigned char *s = (const unsigned char *)in;
	size_t len = strnlen(in, max), at = 0, written = 0;

	if (!size)
		return 0;
	while (at < len) {
		struct glyph g = glyph_at(s + at, len - at);
		const void *from = g.valid ? (const void *)(s + at) : replacement;
		size_t need = g.valid ? g.len : sizeof(replacement) - 1;

		if (written + need >= size)
			break;
		memcpy(out + written, from, need);
		written += need;
		at += g.len;
	}
	out[written] = '\0';
	return written;
}
