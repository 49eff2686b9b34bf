package verifier

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Stats is what verifying a program cost, as a log at level 4 says it. Fields that a
// kernel does not tell are 0.
type Stats struct {
	// Processed is how many instructions were looked at, of at most Limit.
	Processed, Limit int
	// MaxStates is the most states that were kept at one instruction, TotalStates how
	// many there were, PeakStates how many at a time.
	MaxStates, TotalStates, PeakStates int
	// MarkRead is the longest chain of states through which a read was traced back.
	MarkRead int
	// Stack is how many bytes of stack each function uses: the program's, then those
	// that it calls, in the order of the code.
	Stack []int
	// Time is how long verification took, by the kernel's clock.
	Time time.Duration
	// Warnings are lines in which the verifier complains of itself or of the program
	// without rejecting it.
	Warnings []string
}

// Share returns how much of the limit verification took, from 0 to 1.
func (s *Stats) Share() float64 {
	if s.Limit <= 0 {
		return 0
	}
	return float64(s.Processed) / float64(s.Limit)
}

// Deepest returns how many bytes the function with the largest stack uses.
func (s *Stats) Deepest() int {
	deepest := 0
	for _, depth := range s.Stack {
		deepest = max(deepest, depth)
	}
	return deepest
}

// ReadStats reads the end of a log at level 4 or of another one with that bit. The
// error wraps ErrFormat.
func ReadStats(text string) (*Stats, error) {
	s := &Stats{}
	found := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "processed "):
			if err := s.processed(line); err != nil {
				return nil, fmt.Errorf("%w: line %q: %w", ErrFormat, shorten(line), err)
			}
			found = true
		case strings.HasPrefix(line, "verification time "):
			var usec int64
			if _, err := fmt.Sscanf(line, "verification time %d usec", &usec); err != nil {
				return nil, fmt.Errorf("%w: line %q: %w", ErrFormat, shorten(line), err)
			}
			s.Time = time.Duration(usec) * time.Microsecond
		case strings.HasPrefix(line, "stack depth "):
			if err := s.stack(strings.TrimPrefix(line, "stack depth ")); err != nil {
				return nil, fmt.Errorf("%w: line %q: %w", ErrFormat, shorten(line), err)
			}
		case IsAnomaly(line):
			s.Warnings = append(s.Warnings, line)
		}
	}
	if !found {
		return nil, fmt.Errorf("%w: it does not say how many instructions were looked at", ErrFormat)
	}
	return s, nil
}

// processed reads "processed 31 insns (limit 1000000) max_states_per_insn 0
// total_states 2 peak_states 2 mark_read 1".
func (s *Stats) processed(line string) error {
	words := strings.Fields(line)
	if len(words) < 5 || words[2] != "insns" || words[3] != "(limit" {
		return fmt.Errorf("it is not \"processed N insns (limit N)\"")
	}
	var err error
	if s.Processed, err = count(words[1]); err != nil {
		return err
	}
	if s.Limit, err = count(strings.TrimSuffix(words[4], ")")); err != nil {
		return err
	}
	into := map[string]*int{
		"max_states_per_insn": &s.MaxStates, "total_states": &s.TotalStates, "peak_states": &s.PeakStates, "mark_read": &s.MarkRead,
	}
	for i := 5; i+1 < len(words); i += 2 {
		if to := into[words[i]]; to != nil {
			if *to, err = count(words[i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// stack reads "32+0+16", to which some kernels add " max 48".
func (s *Stats) stack(text string) error {
	text, _, _ = strings.Cut(text, " ")
	for _, part := range strings.Split(text, "+") {
		n, err := count(part)
		if err != nil {
			return err
		}
		s.Stack = append(s.Stack, n)
	}
	return nil
}

func count(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is no number: %w", text, err)
	}
	return int(n), nil
}
