/* controller_default.c - the table that a camera has without a file.
 *
 * Made by
 *   attune profile --student models/town-student.onnx --teacher models/town-teacher.onnx
 *     --out town.yaml --shares 0.1,0.25,0.5 --slack 0.02 --learn 40
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
                                              .trainable_fps = 8.26,
                                              .kbps = {5.7, 11.6, 21.0, 38.9, 67.6},
                                              .accuracy = {{0.307, 0.305, 0.313, 0.299, 0.272},
                                                           {0.428, 0.427, 0.454, 0.451, 0.458},
                                                           {0.500, 0.541, 0.555, 0.537, 0.545}}},
                                             {.scale = 0.75,
                                              .trainable_fps = 8.26,
                                              .kbps = {2.9, 5.7, 10.1, 18.1, 30.5},
                                              .accuracy = {{0.331, 0.335, 0.359, 0.322, 0.313},
                                                           {0.382, 0.412, 0.428, 0.405, 0.406},
                                                           {0.425, 0.480, 0.496, 0.468, 0.466}}},
                                             {.scale = 0.5,
                                              .trainable_fps = 8.26,
                                              .kbps = {1.6, 3.2, 5.5, 9.8, 16.3},
                                              .accuracy = {{0.290, 0.317, 0.342, 0.297, 0.281},
                                                           {0.327, 0.376, 0.394, 0.382, 0.383},
                                                           {0.355, 0.424, 0.460, 0.413, 0.437}}}}};
}
