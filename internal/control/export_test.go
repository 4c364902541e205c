package control

import "context"

// Sweep looks at the deadlines once.
func Sweep(ctx context.Context, c *Controller) error {
	_, err := c.sweep(ctx)
	return err
}

// ForgetOld forgets what is old once.
func ForgetOld(ctx context.Context, c *Controller) error { return c.forgetOld(ctx) }
