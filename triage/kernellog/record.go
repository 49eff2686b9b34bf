// Package kernellog reads the kernel's log: which of its lines say that something is wrong
// with the kernel, what that is, and which lines belong to it. It opens nothing; records
// come from whoever reads /dev/kmsg, or from a file that was recorded there.
package kernellog

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Record is a record of the kernel's log.
type Record struct {
	// Facility says who wrote it: 0 is the kernel. What user space writes to /dev/kmsg has
	// another one, always.
	Facility int
	// Level is from 0, an emergency, to 7, for debugging.
	Level int
	// Sequence counts the records since boot.
	Sequence uint64
	// Time is how long the kernel had been up.
	Time time.Duration
	// Caller is what printed it: "T812" for a thread, "C1" for a processor in an interrupt;
	// "" where the kernel does not say.
	Caller string
	// Text is the message, of several lines now and then.
	Text string
}

// errRecord is what Parse says of everything that is no record.
var errRecord = errors.New("no record of the kernel's log: it has to begin with level, sequence and time, as in \"4,12,3456,-;text\"")

// Parse reads what one read of /dev/kmsg gives: "4,12,3456,-,caller=T812;text" and lines of
// further fields, which are of no interest here.
func Parse(raw string) (Record, error) {
	var r Record
	head, text, ok := strings.Cut(raw, ";")
	if !ok {
		return r, errRecord
	}
	fields := strings.Split(head, ",")
	if len(fields) < 3 {
		return r, errRecord
	}
	priority, err := strconv.ParseUint(fields[0], 10, 31)
	if err != nil {
		return r, errRecord
	}
	micro, err := strconv.ParseInt(fields[2], 10, 53)
	if err != nil || micro < 0 {
		return r, errRecord
	}
	if r.Sequence, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
		return r, errRecord
	}
	r.Facility, r.Level = int(priority>>3), int(priority&7)
	r.Time = time.Duration(micro) * time.Microsecond
	for _, field := range fields[3:] {
		if caller, ok := strings.CutPrefix(field, "caller="); ok {
			r.Caller = caller
		}
	}
	text, _, _ = strings.Cut(text, "\n")
	r.Text = unescape(text)
	return r, nil
}

// unescape puts back what the kernel writes as \x09 of tabs, line ends and backslashes. Other
// bytes stay as they are written, since a terminal could take them for orders.
func unescape(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	return strings.NewReplacer(`\x09`, "\t", `\x0a`, "\n", `\x5c`, `\`).Replace(s)
}
