/* The transmission table's YAML: any bytes give a table that the controller can choose from, or an
 * error with a place and an untouched result. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "uplink/controller.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct controller_table t, before;
    struct error err;
    memset(&t, 0x5a, sizeof t);
    before = t;
    if (controller_table_read(data, n, "fuzz", &t, &err) != ST_OK) {
        assert(memcmp(&t, &before, sizeof t) == 0);
        return 0;
    }
    for (double kbps = 0.5; kbps < 2e6; kbps *= 7) {
        const struct controller_input in = {
            .share = 0.3, .members = 3, .bandwidth_kbps = kbps, .asr_fps = 0.7};
        struct controller_choice c;
        controller_choose(&t, &in, &c);
        assert(c.kbps <= kbps && c.fps > 0 && c.fps <= in.asr_fps && c.accuracy >= 0);
        assert(c.width >= 16 && c.height >= 16 && c.width <= t.width + 1 && isfinite(c.kbps));
    }
    return 0;
}
