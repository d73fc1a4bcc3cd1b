/* plain.h - text from elsewhere on a terminal: no byte of it may be a command to the terminal.
 *
 * Control characters (C0, DEL, C1), what turns the direction of writing, line and paragraph
 * separators and bytes that are no UTF-8 become '?'. The rest stays as it is.
 */
#ifndef ATTUNE_CMD_PLAIN_H
#define ATTUNE_CMD_PLAIN_H

#include <jansson.h>
#include <stdint.h>

/* In place; never longer than it was. */
void plain_text(char *text);

/* All strings within, the names of members too. */
void plain_json(json_t *o);

/* The next character of UTF-8 and its columns on a terminal (0, 1 or 2); *text moves on. A byte
 * that begins none is '?'. *text must not be at the end. */
uint32_t plain_next(const char **text, int *ret_columns);

/* Columns of plain text. */
int plain_columns(const char *text);

#endif
