"""A GAN in NumPy and float64, its gradients and Adam written by hand: an oracle that knows no TensorFlow."""

import numpy as np


def rounded_to_float32(number: float) -> float:
    return float(np.float32(number))


def cross_entropy(logits, label):
    "Mean sigmoid cross entropy against one label, and its gradient by the logits."
    loss = np.mean(np.logaddexp(0, logits) - label * logits)
    return loss, (1 / (1 + np.exp(-logits)) - label) / len(logits)


class Network:
    "Two dense layers with Leaky ReLU between: weights are [W1, b1, W2, b2]."

    def __init__(self, weights, alpha):
        self.weights, self.alpha = [np.array(w, np.float64) for w in weights], alpha

    def forward(self, x):
        "The output, and what `backward` needs to know."
        w1, b1, w2, b2 = self.weights
        before = x @ w1 + b1
        hidden = np.where(before > 0, before, self.alpha * before)
        return hidden @ w2 + b2, (x, before, hidden)

    def backward(self, trace, by_output):
        "Gradients by the four weights, and by the input."
        x, before, hidden = trace
        by_hidden = by_output @ self.weights[2].T
        by_before = by_hidden * np.where(before > 0, 1, self.alpha)
        by_weights = [x.T @ by_before, by_before.sum(0), hidden.T @ by_output, by_output.sum(0)]
        return by_weights, by_before @ self.weights[0].T


class Adam:
    "Kingma and Ba (2015), in the order of computation at the end of their section 2."

    def __init__(self, weights, rate, beta_1, beta_2, epsilon):
        self.weights, self.t, self.rate, self.epsilon = weights, 0, rate, epsilon
        self.betas = beta_1, beta_2
        self.m, self.v = ([np.zeros_like(w) for w in weights] for _ in range(2))

    def step(self, gradients):
        self.t += 1
        beta_1, beta_2 = self.betas
        rate = self.rate * np.sqrt(1 - beta_2**self.t) / (1 - beta_1**self.t)
        for w, m, v, g in zip(self.weights, self.m, self.v, gradients, strict=True):
            m += (1 - beta_1) * (g - m)
            v += (1 - beta_2) * (g * g - v)
            w -= rate * m / (np.sqrt(v) + self.epsilon)


class NumpyGAN:
    "The post's GAN. The defaults are its numbers, as they are written there."

    def __init__(self, g, d, alpha=0.01, smooth=0.1, rate=0.002, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.g, self.d, self.smooth = Network(g, alpha), Network(d, alpha), smooth
        self.adams = [Adam(network.weights, rate, beta_1, beta_2, epsilon) for network in (self.d, self.g)]

    def d_loss(self, real_images, z):
        "The discriminator's loss and its gradients by D's weights."
        fake_images = np.tanh(self.g.forward(z)[0])
        total, gradients = 0, [0] * 4
        for images, label in ((real_images, 1 - self.smooth), (fake_images, 0)):
            logits, trace = self.d.forward(images)
            loss, by_logits = cross_entropy(logits, label)
            by_weights, _ = self.d.backward(trace, by_logits)
            total, gradients = total + loss, [a + b for a, b in zip(gradients, by_weights, strict=True)]
        return total, gradients

    def g_loss(self, z):
        "The generator's loss and its gradients by G's weights."
        raw, g_trace = self.g.forward(z)
        fake_images = np.tanh(raw)
        logits, d_trace = self.d.forward(fake_images)
        loss, by_logits = cross_entropy(logits, 1)
        _, by_images = self.d.backward(d_trace, by_logits)
        gradients, _ = self.g.backward(g_trace, by_images * (1 - fake_images**2))
        return loss, gradients

    def update(self, real_images, z):
        "D's step, then G's with the same z; d_loss before the first, g_loss between the two."
        d_loss, d_gradients = self.d_loss(real_images, z)
        self.adams[0].step(d_gradients)
        g_loss, g_gradients = self.g_loss(z)
        self.adams[1].step(g_gradients)
        return d_loss, g_loss
