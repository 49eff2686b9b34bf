package cover

import "testing"

func TestFurtherIsBounded(t *testing.T) {
	var seen Further
	added := 0
	for n := range uint64(100_000) {
		var f Further
		for d := range domains {
			f.Set(d, n)
		}
		if f.Adds(&seen) {
			added++
		}
		seen.Merge(&f)
	}
	if seen.Len() != MaxFurther || added > MaxFurther {
		t.Errorf("%d features, of which %d runs brought some; want %d of no more", seen.Len(), added, MaxFurther)
	}
	last := -1
	seen.Each(func(i int) {
		if i != last+1 {
			t.Fatalf("feature %d comes after %d", i, last)
		}
		last = i
	})
	if last != MaxFurther-1 {
		t.Errorf("the last feature is %d", last)
	}
}

func TestAddTrace(t *testing.T) {
	table := &Table{Edges: []Edge{
		{ID: 1, Program: true},
		{ID: 2, Program: true},
		{ID: 3, Program: true},
		{ID: 4, Updates: true},
		{ID: 5, Updates: true},
		{ID: 6},
	}}
	of := func(ret uint32, trace ...int) (f Further) {
		f.AddTrace(table, trace, ret)
		return f
	}
	for _, test := range []struct {
		name   string
		a, b   Further
		domain Domain
		same   bool
	}{
		{"return values", of(1, 0, 5), of(2, 0, 5), Returns, false},
		{"last edges", of(1, 0, 5), of(1, 0, 4), Returns, false},
		{"edges before", of(1, 0, 4, 5), of(1, 0, 5), Returns, true},
		{"order of programs", of(1, 0, 1, 2), of(1, 0, 2, 1), Chains, false},
		{"one program has no order", of(1, 0), of(1, 0, 5), Chains, true},
		{"places that change maps", of(1, 0, 3), of(1, 0, 3, 4), Updates, false},
		{"their order", of(1, 0, 3, 4), of(1, 0, 4, 3), Updates, true},
		{"no trace", of(1), of(2), Returns, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if same := test.a[test.domain] == test.b[test.domain]; same != test.same {
				t.Errorf("features %x and %x", test.a[test.domain], test.b[test.domain])
			}
		})
	}
}
