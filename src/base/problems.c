#include "base/problems.h"

#include <stdarg.h>
#include <stdio.h>

void problems_init(struct problems *p)
{
    *p = (struct problems){.count = 0};
}

/* Where the next one goes: the end, or for an error the last warning's place. NULL: no room. */
static struct problem *room(struct problems *p, bool warning)
{
    if (p->count < PROBLEMS_MAX)
        return &p->items[p->count++];
    for (int i = PROBLEMS_MAX - 1; i >= 0 && !warning; i--)
        if (p->items[i].warning)
            return &p->items[i];
    return NULL;
}

static void add(struct problems *p, bool warning, const char *format, va_list args)
{
    struct problem *to = room(p, warning);
    if (warning)
        p->warnings++;
    else
        p->errors++;
    if (!to)
        return;
    to->warning = warning;
    vsnprintf(to->text, sizeof to->text, format, args);
}

void problems_error(struct problems *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(p, false, format, args);
    va_end(args);
}

void problems_warn(struct problems *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(p, true, format, args);
    va_end(args);
}

enum status problems_status(const struct problems *p, enum status code, struct error *err)
{
    for (int i = 0; i < p->count; i++)
        if (!p->items[i].warning)
            return error_set(err, code, "%s", p->items[i].text);
    return ST_OK;
}
