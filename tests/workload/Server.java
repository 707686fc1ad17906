// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadPoolExecutor;

/**
 * A pool of workers, a connection each, and another pool that never has anything to do.
 *
 * A request is one byte: 'c' computes, 's' holds the one lock for some time. The answer is a line: how many
 * nanoseconds the worker was blocked, to get into the synchronized block and asleep in it. The virtual machine
 * sleeps in a timed wait on a condition variable, so that from outside the two are one.
 */
public final class Server {
    private static final int WORKERS = 4;
    private static final int HOLD_MS = 20;
    private static final Object LOCK = new Object();
    private static volatile double sink;

    private static void compute() {
        double sum = 0;
        for (int i = 1; i < 300000; i++)
            sum += Math.sqrt(i) / (1 + sum);
        sink = sum;
    }

    private static long holdLock() throws InterruptedException {
        long asked = System.nanoTime();
        synchronized (LOCK) {
            Thread.sleep(HOLD_MS);
            return System.nanoTime() - asked;
        }
    }

    private static void serve(Socket socket) {
        try (socket) {
            InputStream in = socket.getInputStream();
            OutputStream out = socket.getOutputStream();
            socket.setTcpNoDelay(true);
            for (int op = in.read(); op >= 0; op = in.read()) {
                long blocked = 0;
                if (op == 's')
                    blocked = holdLock();
                else
                    compute();
                out.write((blocked + "\n").getBytes());
            }
        } catch (Exception e) {
            System.err.println(e);
        }
    }

    private static ThreadPoolExecutor pool(String name) {
        ThreadPoolExecutor pool = (ThreadPoolExecutor) Executors.newFixedThreadPool(WORKERS, task -> {
            Thread thread = new Thread(task, name);
            thread.setDaemon(true);
            return thread;
        });
        pool.prestartAllCoreThreads();
        return pool;
    }

    public static void main(String[] args) throws Exception {
        ServerSocket listener =
            new ServerSocket(Integer.parseInt(args[0]), 64, InetAddress.getLoopbackAddress());
        ThreadPoolExecutor workers = pool("worker");
        pool("spare");
        while (true) {
            Socket socket = listener.accept();
            workers.execute(() -> serve(socket));
        }
    }
}
