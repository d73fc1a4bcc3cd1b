/* plain.c - see plain.h. */
#include "cmd/plain.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct range {
    uint32_t first, last;
};

static bool is_in(const struct range *ranges, size_t count, uint32_t c)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}
#define IS_IN(ranges, c) is_in(ranges, sizeof(ranges) / sizeof(ranges)[0], c)

static bool is_command(uint32_t c)
{
    static const struct range ranges[] = {{0, 0x1f},        {0x7f, 0x9f},     {0x61c, 0x61c},
                                          {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069},
                                          {0xfff9, 0xfffb}};
    return IS_IN(ranges, c);
}

static int columns_of(uint32_t c)
{
    static const struct range none[] = {{0x300, 0x36f},   {0x200b, 0x200d}, {0x20d0, 0x20ff},
                                        {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}};
    static const struct range two[] = {{0x1100, 0x115f}, {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff}, {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                                       {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
    if (IS_IN(none, c))
        return 0;
    return IS_IN(two, c) ? 2 : 1;
}

/* Bytes of the character at s, 0 for none of UTF-8. */
static int decode(const unsigned char *s, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (n == 0)
        return 0;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if (s[i] >> 6 != 2) /* also the end */
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return n;
}

uint32_t plain_next(const char **text, int *ret_columns)
{
    uint32_t c;
    int n = decode((const unsigned char *)*text, &c);
    if (n == 0 || is_command(c))
        c = '?';
    *text += n ? n : 1;
    *ret_columns = columns_of(c);
    return c;
}

int plain_columns(const char *text)
{
    int sum = 0, one;
    while (*text) {
        plain_next(&text, &one);
        sum += one;
    }
    return sum;
}

void plain_text(char *text)
{
    char *to = text;
    for (const char *from = text; *from;) {
        uint32_t c;
        int n = decode((const unsigned char *)from, &c);
        if (n == 0 || is_command(c))
            *to++ = '?';
        else {
            memmove(to, from, (size_t)n);
            to += n;
        }
        from += n ? n : 1;
    }
    *to = '\0';
}

static void clean_string(json_t *o)
{
    char *copy = strdup(json_string_value(o));
    if (copy) {
        plain_text(copy);
        json_string_set(o, copy);
    } else
        json_string_set(o, "?");
    free(copy);
}

/* An object is made anew where a name in it is not plain. */
static void clean_names(json_t *o)
{
    const char *key;
    json_t *v, *again = json_object();
    void *next;
    json_object_foreach_safe(o, next, key, v)
    {
        char *copy = strdup(key);
        if (copy) {
            plain_text(copy);
            json_object_set(again, copy, v);
        }
        free(copy);
    }
    json_object_clear(o);
    json_object_update(o, again);
    json_decref(again);
}

void plain_json(json_t *o)
{
    const char *key;
    json_t *v;
    size_t i;
    if (json_is_string(o))
        clean_string(o);
    else if (json_is_array(o))
        json_array_foreach(o, i, v) plain_json(v);
    else if (json_is_object(o)) {
        clean_names(o);
        json_object_foreach(o, key, v) plain_json(v);
    }
}
