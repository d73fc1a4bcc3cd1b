/* identity.json of an enrolled camera, of any bytes: what is read has a token and a camera that can
 * be ones, and is the same when it is written and read again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"
#include "uplink/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct identity id, again;
    struct error err = {0};
    if (identity_read(data, n, &id, &err) != ST_OK) {
        assert(err.message[0]);
        return 0;
    }
    assert(strlen(id.token) == SECRET_TOKEN_CHARS && store_camera_id_valid(id.camera));
    char *text = identity_text(&id);
    assert(text && identity_read(text, strlen(text), &again, NULL) == ST_OK);
    assert(strcmp(id.server, again.server) == 0 && strcmp(id.camera, again.camera) == 0);
    assert(strcmp(id.token, again.token) == 0 && strcmp(id.pin, again.pin) == 0);
    free(text);
    return 0;
}
