#include <a&b>
int fw(struct xdp_md *ctx) {
	if (a < b && c)
		return drop("<x>");
	a = 1;
	b = 2;
	c = 3;
	d = 4;
}
