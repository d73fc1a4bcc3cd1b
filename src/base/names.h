/* names.h - tables of names, looked up both ways.
 *
 * A table is an array indexed by an enum; a NULL entry has no name and is never found.
 */
#ifndef ATTUNE_BASE_NAMES_H
#define ATTUNE_BASE_NAMES_H

#include <stddef.h>

/* The entries of an array, for the calls below. */
#define NAMES_COUNT(table) (sizeof(table) / sizeof *(table))

/* Index of the first entry that equals name, otherwise when there is none or name is NULL. */
int names_find(const char *const *names, size_t count, const char *name, int otherwise);

/* names[i], otherwise outside of the table and for a NULL entry. */
const char *names_text(const char *const *names, size_t count, size_t i, const char *otherwise);

#endif
