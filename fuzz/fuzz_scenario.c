/* Scenario files. */
#include "synth/scenario.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct scenario s;
    struct error err;
    if (scenario_read(data, n, "fuzz", &s, &err) == ST_OK)
        (void)scenario_condition(&s, 1, 3, 1000, 500, 77000000);
    return 0;
}
