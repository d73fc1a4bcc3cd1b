/* The text of calibrated ranges (see ranges.h). Names are found in a sorted table, as a record may
 * have as many lines as a graph has tensors. */
#include "nn/ranges.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_CHARS_MAX 31

static bool has_values(const struct nn_tensor *t)
{
    return t->dtype == NN_F32 && (t->kind == NN_TENSOR_ACTIVATION || t->kind == NN_TENSOR_INPUT);
}

void nn_ranges_write(const struct nn_graph *g, const struct nn_range *ranges, struct buf *out)
{
    size_t before = out->size_bytes;
    for (int i = 0; i < g->tensor_count; i++) {
        const struct nn_tensor *t = &g->tensors[i];
        struct nn_range r = ranges ? ranges[i] : t->range;
        if (nn_range_is_known(r) && has_values(t) && !strchr(t->name, '\n'))
            buf_printf(out, "%.9g %.9g %s\n", (double)r.lo, (double)r.hi, t->name);
    }
    if (out->size_bytes > before)
        buf_put_u8(out, 0);
}

struct entry {
    const char *name;
    int tensor;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static struct entry *table_of(const struct nn_graph *g, size_t *ret_count)
{
    struct entry *table = calloc((size_t)g->tensor_count + 1, sizeof *table);
    *ret_count = 0;
    for (int i = 0; table && i < g->tensor_count; i++)
        if (has_values(&g->tensors[i]))
            table[(*ret_count)++] = (struct entry){g->tensors[i].name, i};
    if (table)
        qsort(table, *ret_count, sizeof *table, by_name);
    return table;
}

/* A number and the space behind it; *text moves on. */
static bool take_number(const char **text, float *ret)
{
    char number[NUMBER_CHARS_MAX + 1], *end;
    size_t n = strcspn(*text, " \n");
    if (n == 0 || n > NUMBER_CHARS_MAX || (*text)[n] != ' ')
        return false;
    memcpy(number, *text, n);
    number[n] = 0;
    *ret = strtof(number, &end);
    *text += n + 1;
    return *end == 0 && isfinite(*ret);
}

/* The name that the line ends with; *text moves on to the next line. */
static bool take_name(const char **text, char *name, size_t room)
{
    size_t n = strcspn(*text, "\n");
    if (n >= room || (*text)[n] != '\n')
        return false;
    memcpy(name, *text, n);
    name[n] = 0;
    *text += n + 1;
    return true;
}

static const char *read_line(const char **text, const struct entry *table, size_t count,
                             struct nn_tensor *tensors, char *name, size_t room)
{
    struct nn_range r;
    if (!take_number(text, &r.lo) || !take_number(text, &r.hi) || !take_name(text, name, room))
        return "is not of the form 'LO HI TENSOR'";
    if (!nn_range_is_known(r) || r.lo > 0 || r.hi < 0)
        return "has bounds that do not lie on both sides of 0";
    const struct entry *e =
        bsearch(&(struct entry){.name = name}, table, count, sizeof *table, by_name);
    if (!e)
        return "names a tensor that the graph does not have";
    if (nn_range_is_known(tensors[e->tensor].range))
        return "names a tensor a second time";
    tensors[e->tensor].range = r;
    return NULL;
}

enum status nn_ranges_read(const struct nn_graph *g, const char *text, struct nn_tensor *tensors,
                           struct error *err)
{
    size_t count, room = strlen(text) + 1;
    struct entry *table = table_of(g, &count);
    char *name = malloc(room);
    enum status st = ST_OK;
    if (!table || !name)
        st = error_set(err, ST_NOMEM, "no memory for calibrated ranges");
    for (int line = 1; !st && *text; line++) {
        const char *why = read_line(&text, table, count, tensors, name, room);
        if (why)
            st = error_set(err, ST_FORMAT, "metadata '" NN_RANGES_KEY "': line %d %s", line, why);
    }
    free(table);
    free(name);
    return st;
}
