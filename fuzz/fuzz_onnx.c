/* Any bytes as a model. What is accepted has to be written, read back, folded and described as
 * well; a second file of the same graph is the same bytes. What is refused is surveyed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nn/fold_batch_norm.h"
#include "nn/inspect.h"
#include "nn/survey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

/* Returns how many nodes are unsupported, -1 when the file as a whole is refused. */
static int survey(const uint8_t *data, size_t size)
{
    struct nn_survey s = {0};
    struct error err;
    if (nn_survey_read(data, size, NULL, &s, &err) != ST_OK)
        return -1;
    int count = s.count;
    check(count <= s.node_count && s.unknown + count <= s.node_count);
    nn_survey_clear(&s);
    return count;
}

static void fold(const struct nn_model *m)
{
    struct nn_model *folded = NULL;
    struct error err;
    struct buf bytes;
    int count = 0;
    buf_init(&bytes);
    if (nn_fold_batch_norm(m, NULL, &bytes, &count, &err) == ST_OK) {
        check(nn_model_read(bytes.data, bytes.size_bytes, NULL, &folded, &err) == ST_OK);
        check(nn_model_graph(folded)->node_count == nn_model_graph(m)->node_count - count);
    }
    buf_clear(&bytes);
    nn_model_close(&folded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nn_model *m = NULL, *again = NULL;
    struct error err;
    struct buf first, second;
    json_t *facts = NULL, *nodes = NULL;
    int unsupported = survey(data, size);
    if (nn_model_read(data, size, NULL, &m, &err)) {
        check(m == NULL && strlen(err.message) > 0);
        return 0;
    }
    check(unsupported == 0);
    fold(m);
    buf_init(&first);
    buf_init(&second);
    if (nn_model_write(m, NULL, &first, &err) == ST_OK) {
        check(nn_model_read(first.data, first.size_bytes, NULL, &again, &err) == ST_OK);
        check(nn_model_write(again, NULL, &second, &err) == ST_OK);
        check(first.size_bytes == second.size_bytes &&
              memcmp(first.data, second.data, first.size_bytes) == 0);
    }
    check(nn_inspect_json(m, &facts, &err) == ST_OK);
    check(nn_inspect_nodes_json(m, &nodes, &err) == ST_OK);
    json_decref(facts);
    json_decref(nodes);
    buf_clear(&first);
    buf_clear(&second);
    nn_model_close(&m);
    nn_model_close(&again);
    return 0;
}
