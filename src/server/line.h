/* line.h - the files of a group's line of versions, where others than a worker write or read them.
 *
 * A version is three files (store/store.h): the step to it, the snapshot, the learner's state. They
 * are made once, however many cameras they are for. Three things happen to a line without training:
 * it skips numbers, when a camera joins that is further (a camera's version never falls, and a
 * number means the same weights to all members), it goes back to older weights, and it begins, from
 * another line's version or from a snapshot.
 *
 * Threads: safe for different groups.
 * Memory:  the model's parameters twice while a function runs.
 */
#ifndef ATTUNE_SERVER_LINE_H
#define ATTUNE_SERVER_LINE_H

#include "server/node.h"

/* Parameters of a group's version from its snapshot file into params[nn_model_param_count].
 * ST_NOT_FOUND: not kept any more. Version 0 is the student's own. */
enum status line_params(const struct server *s, const char *group, uint64_t version, float *params,
                        struct error *err);

/* The files of `version`, which has the weights of `base` (0 allowed): a step that changes nothing.
 * *ret is the row for it, without reason and time. */
enum status line_renumber(const struct server *s, const char *group, uint64_t base,
                          uint64_t version, struct store_version *ret, struct error *err);

/* The first files of group `to`: `version` as in group `from`, with the learner's state. Version 0
 * has none. */
enum status line_fork(const struct server *s, const char *from, uint64_t version, const char *to,
                      struct store_version *ret, struct error *err);

/* The first files of group `to`: the weights of a snapshot file under the number `version` (1 and
 * more). */
enum status line_adopt(const struct server *s, const char *snapshot_path, uint64_t version,
                       const char *to, struct store_version *ret, struct error *err);

/* The files of `version`, which has the weights of the older `to` (0: the student's own) and
 * follows `base`: a snapshot alone, and a learner that begins there knows nothing of what came
 * before. */
enum status line_return(const struct server *s, const char *group, uint64_t to, uint64_t base,
                        uint64_t version, struct store_version *ret, struct error *err);

/* Are the weights of the version there? */
bool line_has(const struct server *s, const char *group, uint64_t version);

#endif
