/* SPDX-License-Identifier: MIT OR GPL-2.0-only OR BSD-2-Clause */
#ifndef BPFFUZZ_H
#define BPFFUZZ_H

/*
 * bpffuzz_assert(condition) says what is true whenever a BPF program gets there:
 *
 *	bpffuzz_assert(backend->port != 0);
 *
 * Compile with -DBPFFUZZ for bpffuzz, which reports the inputs with which the condition
 * is false. The program goes on then. Without that macro there is no code for it and
 * the condition is not evaluated, so it must have no effect that anybody needs.
 */
#ifdef BPFFUZZ

/* The line of the assertion that failed last; the section is a map of its own. */
static volatile unsigned int bpffuzz_failed __attribute__((section(".data.bpffuzz"), unused));

#define bpffuzz_assert(condition)                        \
	do {                                             \
		if (__builtin_expect(!(condition), 0))   \
			bpffuzz_failed = __LINE__;       \
	} while (0)

#else

#define bpffuzz_assert(condition)          \
	do {                               \
		(void)sizeof(!(condition)); \
	} while (0)

#endif
#endif
