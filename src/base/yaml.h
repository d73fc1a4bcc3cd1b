/* yaml.h - strict reading of small YAML files over libyaml's document tree.
 *
 * Every reader of ours (settings, scenarios, class maps) is a walk over such a tree: it asks for
 * the keys that it knows, refuses the others, and says file:line:column in each message.
 *
 * Owns:    yaml_close frees the tree; nodes and texts are borrowed from it.
 * Errors:  ST_FORMAT with "NAME:LINE:COLUMN: what is wrong"; ST_LIMIT over YAML_BYTES_MAX.
 */
#ifndef ATTUNE_BASE_YAML_H
#define ATTUNE_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define YAML_BYTES_MAX ((size_t)1 << 20)

struct yaml_doc;
typedef struct yaml_node_s yaml_node; /* libyaml's node, opaque here */

/* name is used in messages (a path, usually) and copied. An empty file gives a NULL root; more than
 * one document is refused. */
enum status yaml_open(const void *text, size_t n, const char *name, struct yaml_doc **ret,
                      struct error *err);
void yaml_close(struct yaml_doc **d);
const yaml_node *yaml_root(const struct yaml_doc *d);

bool yaml_is_map(const yaml_node *n);
bool yaml_is_list(const yaml_node *n);
/* The scalar's text, NULL for maps and lists. */
const char *yaml_text(const yaml_node *n);

/* Entries of a map or list; 0 for scalars. */
size_t yaml_count(const yaml_node *n);
/* index-th key (maps) and value. */
const yaml_node *yaml_key(const struct yaml_doc *d, const yaml_node *n, size_t index);
const yaml_node *yaml_value(const struct yaml_doc *d, const yaml_node *n, size_t index);
/* Value of a key, NULL when the map has none. */
const yaml_node *yaml_get(const struct yaml_doc *d, const yaml_node *map, const char *key);

/* Refuses keys of `map` that are not among known[count], naming the nearest, and keys given twice.
 */
enum status yaml_check_keys(const struct yaml_doc *d, const yaml_node *map,
                            const char *const *known, size_t count, struct error *err);

/* A number in [min, max]; the whole text must be the number. */
enum status yaml_number(const struct yaml_doc *d, const yaml_node *n, double min, double max,
                        double *ret, struct error *err);

/* Where the node begins, from 1 on; 1:1 for NULL. */
void yaml_place(const yaml_node *n, size_t *ret_line, size_t *ret_column);

/* ST_FORMAT with the node's place (the document's start for NULL) before the message. */
enum status yaml_fail(const struct yaml_doc *d, const yaml_node *n, struct error *err,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The candidate with the smallest edit distance to text, NULL when none is near (for messages). */
const char *yaml_nearest(const char *text, const char *const *candidates, size_t count);

#endif
