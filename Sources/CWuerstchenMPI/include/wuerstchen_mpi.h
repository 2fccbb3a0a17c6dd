#pragma once

#include <stdbool.h>
#include <stddef.h>

// MPI as far as training needs it, opened at run time: a build needs no MPI, and one build runs
// under Open MPI and under MPICH, whose handles and constants differ.

// Opens the library of the launcher that started this process and joins the others. Returns NULL,
// or what went wrong. To be called once.
const char *wmpi_open(void);

// What the library calls itself; after it was opened.
const char *wmpi_version(void);

int wmpi_rank(void);
int wmpi_size(void);

// All of these end every process when communication fails, as MPI does by default.
void wmpi_broadcast(void *bytes, size_t count, int root);
void wmpi_exchange(const void *sent, size_t sent_count, void *received, size_t received_count,
                   int peer);
void wmpi_sum(float *values, size_t count);
