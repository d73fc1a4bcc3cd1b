/* top_view.h - the screen of `attune top` as a pure function of what the server says and the size.
 *
 * What it is given is overview_fetch's answer (live), with "history": {CAMERA: [accuracy, ...]},
 * oldest first, and "server": its address; whatever is missing is left blank. Text in it commands
 * no terminal, whether it was made plain before or not.
 */
#ifndef ATTUNE_CMD_TOP_VIEW_H
#define ATTUNE_CMD_TOP_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define TOP_COLUMNS_MIN 20
#define TOP_COLUMNS_MAX 1000
#define TOP_ROWS_MIN 4
#define TOP_ROWS_MAX 10000

/* What cameras are sorted by; the key that does it is that of the table in top_view.c. */
enum top_sort { TOP_CAMERA, TOP_ACCURACY, TOP_GAIN, TOP_VERSION, TOP_GROUP, TOP_SHARE, TOP_UP };

struct top_view {
    enum top_sort sort;
    bool reversed;
    int scroll; /* cameras above the first that is shown; brought within its range */
    bool color; /* with SGR sequences, nothing else */
};

/* Appends `rows` lines at most, none wider than `columns`, each but the last with its "\n". now_us:
 * the wall clock. Changes view->scroll only. */
void top_render(const json_t *all, struct top_view *view, int columns, int rows, uint64_t now_us,
                struct buf *out);

/* The key of a column: sorts by it, or the other way round. False: it is of none. */
bool top_sort_key(struct top_view *view, char key);

#endif
