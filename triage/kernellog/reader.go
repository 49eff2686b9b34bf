package kernellog

import (
	"slices"
	"strings"
)

// Reader puts complaints together out of records, in the order in which they come. Where the
// kernel says who printed a record, what several print at once is told apart. The zero value
// is ready to be used; it is not safe for concurrent use.
type Reader struct {
	printers map[string]*printer
	found    []*Complaint
}

// printer is a thread or a processor that prints.
type printer struct {
	// before are lines that begin a complaint whose head has not come yet.
	before []string
	now    *Complaint // nil where nothing is open
	// cut says that it goes on to the end of the trace, separated that it does to a line of =.
	cut, separated bool
}

// maxBefore bounds the lines between a cut and the head: the text of a warning.
const maxBefore = 6

// Add takes a record. What user space wrote is no complaint, whatever it says.
func (r *Reader) Add(rec Record) {
	if rec.Facility != 0 {
		return
	}
	for line := range strings.SplitSeq(rec.Text, "\n") {
		r.line(rec.Caller, line)
	}
}

// Take returns what was complained of since the last call, as far as it has been read: lines
// that come later are left out. It does not allocate where there is nothing.
func (r *Reader) Take() []Complaint {
	if len(r.found) == 0 {
		return nil
	}
	list := make([]Complaint, 0, len(r.found))
	for _, c := range r.found {
		taken := *c
		taken.Lines = slices.Clip(taken.Lines)
		list = append(list, taken)
	}
	r.found = r.found[:0]
	for who, p := range r.printers {
		if p.now == nil && len(p.before) == 0 {
			delete(r.printers, who)
		}
	}
	return list
}

// Read returns what records complain of.
func Read(records []Record) []Complaint {
	var r Reader
	for i := range records {
		r.Add(records[i])
	}
	return r.Take()
}

func (r *Reader) line(who, line string) {
	h, begins := headOf(line), line == cutHere || isSeparator(line)
	p := r.printers[who]
	if p == nil {
		if h == nil && !begins {
			return // of nothing that is open
		}
		if r.printers == nil {
			r.printers = map[string]*printer{}
		}
		p = &printer{}
		r.printers[who] = p
	}
	switch {
	case p.now != nil && p.takes(line, h):
		p.take(line, h)
	case begins:
		p.close()
		p.before = append(p.before[:0], line)
	case h != nil:
		r.found = append(r.found, p.open(line, h))
	case len(p.before) > 0 && p.now == nil:
		p.wait(line)
	}
}

// takes reports whether a line belongs to what is open.
func (p *printer) takes(line string, h *head) bool {
	switch {
	case line == cutHere:
		return false
	case isSeparator(line):
		return p.separated
	case h != nil:
		return p.cut && p.begun() || h.follows || h.kind == p.now.Kind && p.now.Kind == KindStall
	}
	return isBody(line)
}

// begun reports whether the head of what is open was read just now: the kernel says "verifier
// bug" or "kernel BUG" first, and that it is a warning or an oops then.
func (p *printer) begun() bool { return len(p.now.Lines) <= maxBefore+2 }

// take adds a line, and closes what it ends.
func (p *printer) take(line string, h *head) {
	p.now.add(line)
	if h != nil {
		p.now.Harm = max(p.now.Harm, h.harm)
	}
	if strings.HasPrefix(line, endTrace) || p.separated && isSeparator(line) {
		p.close()
	}
}

// wait keeps a line that may be the text of a warning, whose head is behind it.
func (p *printer) wait(line string) {
	if len(p.before) == maxBefore || isSeparator(p.before[0]) {
		p.before = p.before[:0]
		return
	}
	p.before = append(p.before, line)
}

// open begins a complaint with its head.
func (p *printer) open(line string, h *head) *Complaint {
	before := slices.Clone(p.before)
	p.close()
	if len(before) > 0 {
		p.cut = before[0] == cutHere
		p.separated = isSeparator(before[0]) && h.kind != KindLockdep // which has none behind it
	}
	p.now = &Complaint{Kind: h.kind, Harm: h.harm, Head: line, Lines: before}
	p.now.add(line)
	return p.now
}

// close ends what is open, and drops what waits for its head.
func (p *printer) close() {
	p.now, p.cut, p.separated = nil, false, false
	p.before = p.before[:0]
}
