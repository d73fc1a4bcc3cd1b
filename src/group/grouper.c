/* grouper.c - opening, closing, and what it weighs. */
#include <stdlib.h>

#include "group/internal.h"

enum status grouper_open(const struct group_settings *s, struct grouper **ret, struct error *err)
{
    enum status st = group_settings_check(s, err);
    if (st != ST_OK)
        return st;
    struct grouper *g = calloc(1, sizeof *g);
    if (!g)
        return error_set(err, ST_NOMEM, "no memory for groups");
    g->settings = *s;
    g->next_id = 1;
    *ret = g;
    return ST_OK;
}

void grouper_close(struct grouper **g)
{
    if (!*g)
        return;
    for (int i = 0; i < (*g)->group_count; i++)
        group_free((*g)->groups[i]);
    free((*g)->groups);
    free((*g)->cameras);
    free((*g)->index);
    free(*g);
    *g = NULL;
}

const struct group_settings *grouper_settings(const struct grouper *g)
{
    return &g->settings;
}

enum status grouper_set(struct grouper *g, const struct group_settings *s, struct error *err)
{
    enum status st = group_settings_check(s, err);
    if (st == ST_OK)
        g->settings = *s;
    return st;
}

size_t grouper_bytes(const struct grouper *g)
{
    size_t n = sizeof *g + (size_t)g->capacity * sizeof *g->cameras +
               (size_t)g->index_size * sizeof *g->index +
               (size_t)g->group_capacity * sizeof *g->groups;
    for (int i = 0; i < g->group_count; i++)
        n += sizeof **g->groups + (size_t)g->groups[i]->capacity * sizeof(int);
    return n;
}
