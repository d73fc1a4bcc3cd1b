/* controller_default.c - the table that a camera has without a file.
 *
 * Made by
 *   attune profile --student models/town-student.onnx --teacher models/town-teacher.onnx
 *     --out town.yaml --shares 0.1,0.25,0.5 --learn 40
 *     town:scenario=day,start=1500 town:scenario=day,start=2250,camera=1
 *     town:scenario=day,start=420 town:scenario=day,start=3000,camera=1
 * (rain, dusk, fog, snow by night) on one core of an AMD EPYC (Zen 5), rounded.
 */
#include "uplink/controller_table.h"

void controller_table_init(struct controller_table *t)
{
    *t = (struct controller_table){.width = 320,
                                   .height = 192,
                                   .rate_factor = 23,
                                   .slack = 0.01,
                                   .size_count = 3,
                                   .rate_count = 5,
                                   .share_count = 3,
                                   .fps = {0.1, 0.25, 0.5, 1, 2},
                                   .share = {0.1, 0.25, 0.5},
                                   .sizes = {{.scale = 1,
                                              .trainable_fps = 9.36,
                                              .kbps = {5.6, 11.8, 21.6, 40.5, 71.7},
                                              .accuracy = {{0.309, 0.320, 0.326, 0.327, 0.297},
                                                           {0.441, 0.442, 0.450, 0.470, 0.474},
                                                           {0.484, 0.526, 0.526, 0.543, 0.549}}},
                                             {.scale = 0.75,
                                              .trainable_fps = 9.36,
                                              .kbps = {2.8, 5.6, 9.9, 18.1, 31.1},
                                              .accuracy = {{0.312, 0.302, 0.313, 0.293, 0.281},
                                                           {0.377, 0.393, 0.403, 0.379, 0.384},
                                                           {0.412, 0.449, 0.459, 0.449, 0.445}}},
                                             {.scale = 0.5,
                                              .trainable_fps = 9.36,
                                              .kbps = {1.6, 3.1, 5.5, 10.0, 17.2},
                                              .accuracy = {{0.260, 0.289, 0.295, 0.273, 0.257},
                                                           {0.325, 0.359, 0.371, 0.357, 0.367},
                                                           {0.359, 0.408, 0.426, 0.403, 0.411}}}}};
}
