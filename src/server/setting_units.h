/* setting_units.h - numbers of settings with their unit: 10s, 250ms, 200kbit/s, 256MB, 50%.
 *
 * A setting has one unit (the last part of its name); a value may name another one of the same
 * dimension and is converted. Sizes count in powers of 1024, whether written MB or MiB.
 *
 * Threads: pure functions.
 */
#ifndef ATTUNE_SERVER_SETTING_UNITS_H
#define ATTUNE_SERVER_SETTING_UNITS_H

#include "base/buf.h"
#include "server/setting_table.h"

/* The number that `text` says, in the row's unit (INT and REAL), within its range. The message says
 * what is wrong and what the row takes; it quotes `shown`. */
enum status setting_number(const struct setting *row, const char *text, const char *shown,
                           double *ret, struct error *err);

/* "times: us, ms, s, min, h, d": what may stand behind a number of this row; "" for nothing. */
void setting_units_write(const struct setting *row, struct buf *out);

#endif
