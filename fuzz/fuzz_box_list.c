/* Box lists: any bytes are boxes of known labels, of which tables can be made, or an error. */
#include <assert.h>
#include <string.h>

#include "task/box_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct class_map labels = {.label_count = 2, .label_name = {"car", "person"}};
    struct box_list l;
    uint8_t table[DETECT_TABLE_BYTES];
    if (box_list_parse(data, n, "boxes.csv", &labels, &l, NULL) != ST_OK)
        return 0;
    for (size_t i = 0; i < l.count; i++) {
        assert(i == 0 || l.rows[i].frame >= l.rows[i - 1].frame);
        if (i < 100)
            assert(box_list_table(&l, l.rows[i].frame, 64, 48, table));
        assert(i >= 100 || detect_check(table, labels.label_count, NULL) == ST_OK);
    }
    box_list_clear(&l);
    return 0;
}
