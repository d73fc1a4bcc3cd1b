/* log_line.c - template to values to line. */
#include "base/log_line.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SPEC_CHARS_MAX 31
#define CUT_BYTES 16 /* ,"cut":true} and the newline; ATTUNE_CUT=true and the newline */
#define EVENT_BYTES_MAX 120

const char *const log_level_names[5] = {NULL, "error", "warn", "info", "debug"};

/* What printf's functions take, to be handed on by pointer. */
struct arguments {
    va_list list;
};

/* ---- values ---- */

struct value {
    char text[LOG_VALUE_BYTES_MAX];
    size_t n;
    bool plain; /* one number and nothing else */
};

static void append(struct value *v, const char *text, size_t n)
{
    if (n > sizeof v->text - 1 - v->n)
        n = sizeof v->text - 1 - v->n;
    memcpy(v->text + v->n, text, n);
    v->n += n;
    v->text[v->n] = '\0';
}

/* A conversion of a template: "%.*s" with its star filled in. */
struct spec {
    char text[SPEC_CHARS_MAX + 1];
    size_t n;
    int longs;  /* l: 1, ll: 2 */
    char other; /* z, j, t or h */
    char kind;  /* d, s, ... */
};

/* *at is at the percent sign and moves behind the conversion. */
static void read_spec(const char **at, struct arguments *args, struct spec *s)
{
    *s = (struct spec){.n = 0};
    s->text[s->n++] = *(*at)++;
    for (; **at && s->n < SPEC_CHARS_MAX - 12; (*at)++) {
        char c = **at;
        if (c == '*') {
            s->n += (size_t)snprintf(s->text + s->n, 12, "%d", va_arg(args->list, int));
            continue;
        }
        s->text[s->n++] = c;
        s->longs += c == 'l';
        if (strchr("zjth", c))
            s->other = c;
        if (isalpha((unsigned char)c) && !strchr("lzjth", c)) {
            s->kind = c;
            (*at)++;
            break;
        }
    }
    s->text[s->n] = '\0';
}

static int format_signed(char *to, size_t max, const struct spec *s, struct arguments *args)
{
    if (s->longs == 2)
        return snprintf(to, max, s->text, va_arg(args->list, long long));
    if (s->longs == 1 || s->other == 'z' || s->other == 't' || s->other == 'j')
        return snprintf(to, max, s->text, va_arg(args->list, long));
    return snprintf(to, max, s->text, va_arg(args->list, int));
}

static int format_unsigned(char *to, size_t max, const struct spec *s, struct arguments *args)
{
    if (s->longs == 2)
        return snprintf(to, max, s->text, va_arg(args->list, unsigned long long));
    if (s->longs == 1 || s->other == 'z' || s->other == 't' || s->other == 'j')
        return snprintf(to, max, s->text, va_arg(args->list, unsigned long));
    return snprintf(to, max, s->text, va_arg(args->list, unsigned));
}

static int format_text(char *to, size_t max, const struct spec *s, struct arguments *args)
{
    const char *text = va_arg(args->list, const char *);
    return snprintf(to, max, s->text, text ? text : "(null)");
}

/* Formats one conversion onto the value. */
static void take_spec(struct value *v, const struct spec *s, struct arguments *args)
{
    char text[LOG_VALUE_BYTES_MAX];
    int n = 0;
    if (strchr("di", s->kind))
        n = format_signed(text, sizeof text, s, args);
    else if (strchr("uxXo", s->kind))
        n = format_unsigned(text, sizeof text, s, args);
    else if (strchr("fFeEgGaA", s->kind))
        n = snprintf(text, sizeof text, s->text, va_arg(args->list, double));
    else if (s->kind == 'c')
        n = snprintf(text, sizeof text, s->text, va_arg(args->list, int));
    else if (s->kind == 'p')
        n = snprintf(text, sizeof text, s->text, va_arg(args->list, void *));
    else if (s->kind == 's')
        n = format_text(text, sizeof text, s, args);
    if (n > 0)
        append(v, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

/* JSON's grammar of a number. */
static bool is_number(const char *t)
{
    t += *t == '-';
    if (!isdigit((unsigned char)*t) || (t[0] == '0' && isdigit((unsigned char)t[1])))
        return false;
    t += strspn(t, "0123456789");
    if (*t == '.') {
        size_t n = strspn(++t, "0123456789");
        if (n == 0)
            return false;
        t += n;
    }
    if (*t == 'e' || *t == 'E') {
        t += t[1] == '-' || t[1] == '+' ? 2 : 1;
        size_t n = strspn(t, "0123456789");
        if (n == 0)
            return false;
        t += n;
    }
    return !*t;
}

/* The value at *at, up to its closing quote, or to a space where it has none. */
static void read_value(const char **at, struct arguments *args, struct value *v)
{
    bool quoted = **at == '"';
    bool number = !quoted;
    *at += quoted;
    v->n = 0;
    v->text[0] = '\0';
    while (**at && **at != (quoted ? '"' : ' ')) {
        struct spec s;
        if (**at == '%' && (*at)[1] == '%') {
            append(v, "%", 1);
            *at += 2;
        } else if (**at == '%') {
            read_spec(at, args, &s);
            take_spec(v, &s, args);
            number = number && !strchr("scp", s.kind);
        } else
            append(v, (*at)++, 1);
    }
    *at += quoted && **at == '"';
    v->plain = number && is_number(v->text);
}

/* ---- the line ---- */

struct out {
    char *to;
    size_t n, max;
    bool full;
};

static void put(struct out *o, const char *text, size_t n)
{
    o->full = o->full || n > o->max - o->n;
    if (o->full)
        return;
    memcpy(o->to + o->n, text, n);
    o->n += n;
}

static void put_text(struct out *o, const char *text)
{
    put(o, text, strlen(text));
}

/* Bytes of the UTF-8 character at p, 0: there is none. Overlong forms and surrogates are none. */
static size_t utf8_bytes(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* Within quotes; the escapes are JSON's, which logfmt's readers know, too. */
static void put_escaped(struct out *o, const char *text, size_t n)
{
    char code[8];
    put(o, "\"", 1);
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i];
        size_t k = utf8_bytes(text + i, n - i);
        if (k == 0)
            put_text(o, "\xef\xbf\xbd");
        else if (c == '"' || c == '\\')
            put(o, (const char[]){'\\', (char)c}, 2);
        else if (c == '\n')
            put(o, "\\n", 2);
        else if (c < 0x20 || c == 0x7f) {
            snprintf(code, sizeof code, "\\u%04x", c);
            put_text(o, code);
        } else if (k == 2 && c == 0xc2 && (unsigned char)text[i + 1] < 0xa0) { /* terminals obey */
            snprintf(code, sizeof code, "\\u%04x", (unsigned char)text[i + 1]);
            put_text(o, code);
        } else
            put(o, text + i, k);
        i += k ? k : 1;
    }
    put(o, "\"", 1);
}

static bool is_bare(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("-_.:/+,@%", text[i]))
            return false;
    return n > 0;
}

/* Length and bytes: a value may hold whatever it likes. */
static void put_native(struct out *o, const char *key, size_t key_n, const struct value *v)
{
    char name[] = "ATTUNE_................................";
    uint8_t size[8];
    size_t n = 7;
    for (size_t i = 0; i < key_n && n < sizeof name - 1; i++)
        name[n++] = isalnum((unsigned char)key[i]) ? (char)toupper((unsigned char)key[i]) : '_';
    for (int i = 0; i < 8; i++)
        size[i] = (uint8_t)((uint64_t)v->n >> (8 * i));
    put(o, name, n);
    put(o, "\n", 1);
    put(o, (const char *)size, sizeof size);
    put(o, v->text, v->n);
    put(o, "\n", 1);
}

/* A field is there whole or not at all. */
static void put_field(struct out *o, enum log_format format, const char *key, size_t key_n,
                      const struct value *v, bool quoted)
{
    size_t before = o->n;
    if (o->full)
        return;
    if (format == LOG_JSON) {
        put(o, ",", 1);
        put_escaped(o, key, key_n);
        put(o, ":", 1);
    } else if (format != LOG_NATIVE) {
        put(o, " ", 1);
        put(o, key, key_n);
        put(o, "=", 1);
    }
    if (format == LOG_NATIVE)
        put_native(o, key, key_n, v);
    else if (format == LOG_JSON ? v->plain : !quoted && is_bare(v->text, v->n))
        put(o, v->text, v->n);
    else
        put_escaped(o, v->text, v->n);
    if (o->full)
        o->n = before;
}

static void put_fields(struct out *o, enum log_format format, const char *at,
                       struct arguments *args)
{
    struct value v;
    while (*at) {
        size_t n = strcspn(at, "= ");
        const char *key = at;
        at += n;
        if (*at == '=') {
            bool quoted = *++at == '"';
            read_value(&at, args, &v);
            put_field(o, format, key, n, &v, quoted);
        }
        at += *at == ' ';
    }
}

static const int priorities[5] = {0, 3, 4, 6, 7}; /* syslog's */

static void put_head_native(struct out *o, const struct log_head *h)
{
    struct value event = {.n = 0};
    char text[64];
    snprintf(text, sizeof text, "PRIORITY=%d\nSYSLOG_IDENTIFIER=attune\n", priorities[h->level]);
    put_text(o, text);
    append(&event, h->event, strnlen(h->event, EVENT_BYTES_MAX));
    put_native(o, "EVENT", 5, &event);
}

static void put_head(struct out *o, const struct log_head *h)
{
    char text[96], stamp[32];
    time_t s = (time_t)(h->wall_us / 1000000);
    struct tm utc;
    gmtime_r(&s, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    unsigned ms = (unsigned)(h->wall_us % 1000000 / 1000);
    const char *level = log_level_names[h->level];
    if (h->format == LOG_JSON)
        snprintf(text, sizeof text, "{\"ts\":\"%s.%03uZ\",\"level\":\"%s\",\"event\":", stamp, ms,
                 level);
    else if (h->format == LOG_JOURNALD)
        snprintf(text, sizeof text, "<%d>event=", priorities[h->level]);
    else
        snprintf(text, sizeof text, "ts=%s.%03uZ level=%s event=", stamp, ms, level);
    put_text(o, text);
    put_escaped(o, h->event, strnlen(h->event, EVENT_BYTES_MAX));
}

/* How the line ends, and says that fields were left out. */
static void put_tail(struct out *o, enum log_format format, bool cut)
{
    if (format == LOG_JSON)
        put_text(o, cut ? ",\"cut\":true}\n" : "}\n");
    else if (format == LOG_NATIVE)
        put_text(o, cut ? "ATTUNE_CUT=true\n" : "");
    else
        put_text(o, cut ? " cut=true\n" : "\n");
}

size_t log_line_write(char *line, const struct log_head *head, const char *fields, va_list args)
{
    struct out o = {.to = line, .max = LOG_LINE_BYTES_MAX - CUT_BYTES};
    struct arguments a;
    va_copy(a.list, args);
    if (head->format == LOG_NATIVE)
        put_head_native(&o, head);
    else
        put_head(&o, head);
    if (head->repeated > 0) {
        struct value v = {.plain = true};
        v.n = (size_t)snprintf(v.text, sizeof v.text, "%u", head->repeated);
        put_field(&o, head->format, "repeated", 8, &v, false);
    }
    if (fields)
        put_fields(&o, head->format, fields, &a);
    va_end(a.list);
    bool cut = o.full;
    o = (struct out){.to = line, .n = o.n, .max = LOG_LINE_BYTES_MAX};
    put_tail(&o, head->format, cut);
    return o.n;
}
