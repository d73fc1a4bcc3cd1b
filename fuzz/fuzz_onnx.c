/* Any bytes as a model. What is accepted has to be written, read back and described as well; a
 * second file of the same graph is the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nn/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nn_model *m = NULL, *again = NULL;
    struct error err;
    struct buf first, second;
    json_t *facts = NULL;
    if (nn_model_read(data, size, NULL, &m, &err)) {
        check(m == NULL && strlen(err.message) > 0);
        return 0;
    }
    buf_init(&first);
    buf_init(&second);
    if (nn_model_write(m, NULL, &first, &err) == ST_OK) {
        check(nn_model_read(first.data, first.size_bytes, NULL, &again, &err) == ST_OK);
        check(nn_model_write(again, NULL, &second, &err) == ST_OK);
        check(first.size_bytes == second.size_bytes &&
              memcmp(first.data, second.data, first.size_bytes) == 0);
    }
    check(nn_inspect_json(m, &facts, &err) == ST_OK);
    json_decref(facts);
    buf_clear(&first);
    buf_clear(&second);
    nn_model_close(&m);
    nn_model_close(&again);
    return 0;
}
