/* trace_internal.h - what the readers of traces share. Internal to src/eval. */
#ifndef ATTUNE_EVAL_TRACE_INTERNAL_H
#define ATTUNE_EVAL_TRACE_INTERNAL_H

#include "eval/trace.h"

/* The camera's index, new or known; -1 after an error. */
int trace_camera(struct trace *t, const char *name, struct error *err);
enum status trace_add(struct trace *t, const struct trace_row *row, struct error *err);

/* Names sorted, rows by camera and window. */
enum status trace_sort(struct trace *t, struct error *err);

/* Adds one city; its name is the file's without folder and ".json". */
enum status trace_add_json(struct trace *t, const void *text, size_t n, const char *name,
                           struct error *err);

#endif
