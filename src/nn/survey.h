/* survey.h - every node of an ONNX file that this engine cannot read, run or train; not only the
 * first.
 *
 * Reading goes on behind a node that is refused: what it would have made is unknown from there on,
 * and nodes that read an unknown tensor are judged by their operator alone. In a file that can be
 * read, each node is then opened as a training session of its own.
 *
 * Owns:    struct nn_survey owns its items until nn_survey_clear.
 * Errors:  ST_FORMAT, ST_LIMIT, ST_UNSUPPORTED for what concerns the file as a whole (not ONNX, its
 *          operator set, its inputs); ST_NOMEM. Unsupported nodes are no error but items.
 */
#ifndef ATTUNE_NN_SURVEY_H
#define ATTUNE_NN_SURVEY_H

#include "nn/model.h"

struct nn_survey_item {
    int node; /* index in the file (nn_survey_read) or in the graph (nn_survey_model) */
    char name[121], op[41];
    char message[512]; /* a sentence that names the node */
};

struct nn_survey {
    int node_count; /* looked at */
    int count;      /* unsupported ones */
    int unknown;    /* judged by their operator alone */
    struct nn_survey_item *items;
};

/* options may be NULL. */
enum status nn_survey_read(const void *bytes, size_t n, const struct nn_model_options *options,
                           struct nn_survey *ret, struct error *err);

/* The nodes of a model that was read, each tried as a training session with that batch. */
enum status nn_survey_model(const struct nn_model *m, int batch, struct nn_survey *ret,
                            struct error *err);
void nn_survey_clear(struct nn_survey *s);

#endif
