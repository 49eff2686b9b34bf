package report

import (
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// FaultText says which call of a step failed, or that none did, as reports do; "" where
// n is 0. The site is that of the call that failed, nil when it is not known.
func FaultText(n uint32, site *corpus.FaultSite) string {
	var s strings.Builder
	writeFault(&s, n, site)
	return strings.TrimSpace(s.String())
}

// writeFault says which call the n-th fallible one was that was to fail, nil when the
// run did not get that far or nothing is known of its calls.
func writeFault(s *strings.Builder, n uint32, site *corpus.FaultSite) {
	switch {
	case n == 0:
	case site == nil:
		fmt.Fprintf(s, "  the %s fallible call was to fail, and was not reached\n", ordinal(n))
	default:
		fmt.Fprintf(s, "  the %s fallible call, %s, failed with %s\n", ordinal(n), site, site.Error)
	}
}

// ordinal writes a number as "1st", "2nd", "11th".
func ordinal(n uint32) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}
